"""ADV-0: a zero-sum Markov game between a driving policy and adversarial traffic."""
