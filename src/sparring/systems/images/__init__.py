"""One-step discrete image generation: a masked-diffusion teacher, distilled, and refined by a critic and a reward."""
