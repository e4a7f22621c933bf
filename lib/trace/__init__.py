"""Where a feature comes from, and how features build each other. See Part III of the book.

`srd` has saliency maps and iERFs, `saliency` other methods' maps, `manipulate` attacks on them, `cafe` latents of
sparse autoencoders, `icat` edges between concepts, `graph` pictures of them, `diagnose` mistakes to explain.
"""
