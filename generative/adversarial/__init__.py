"""Generators trained against a critic: GAN and DCGAN."""
