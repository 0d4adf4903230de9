"""Full-waveform inversion in which a critic can be the misfit, beside the classical misfits."""
