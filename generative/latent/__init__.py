"""Models with a code: autoencoder, VAE, VQ-VAE."""
