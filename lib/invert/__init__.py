"""What features still show: pictures drawn from a network's features by a small diffusion model. See Part IV.

`codec` packs pixels, `prompts` reads captions, `base` draws the world, `encoder` and `control` steer it by features,
`sample` draws, `train` makes the weights. Import modules by their path: diffusers takes a while to load.
"""
