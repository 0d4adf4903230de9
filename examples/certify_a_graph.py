"""Fit a ClipFlow on a graph, and ask which nodes keep their class whatever happens to two edges at every node."""

from scipy.sparse import coo_matrix

from sparring.systems.graph.data import blocks
from sparring.systems.graph.estimator import ClipFlowClassifier

graph = blocks(400, 3)
a, b = graph.edges.numpy()
adjacency = coo_matrix((graph.weight.numpy(), (a, b)), shape=(graph.n, graph.n))
features, truth = graph.features.to_dense().numpy(), graph.labels.numpy()
known = truth.copy()
known[100:] = -1

model = ClipFlowClassifier(epochs=8).fit(adjacency, features, known)
right = model.predict()[100:] == truth[100:]
safe = model.certified()[100:] >= 2
print(f"right: {right.mean():.2f}; right, and proved for two changed edges at every node: {(right & safe).mean():.2f}")
