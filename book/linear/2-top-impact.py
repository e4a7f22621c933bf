# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What the highest activations leave out (Linear Explanations, section 2)
#
# **Question.** To know what a neuron does for its network, is it enough to look at the images that excite it most?
#
# Nearly every description of a neuron begins with its highest images. They are easy to look at, and they are a handful among thousands on
# which the neuron does something as well. So take the neuron away and see which images suffer {cite:p}`oikarinen2024`. If the
# highest ones carry most of the loss, looking at them is enough. If not, a description of them is a description of a small part.
#
# | needs | time, world | time, ImageNet sizes | follows |
# |---|---|---|---|
# | an edition with a network that tells its classes | a minute on one core | minutes to hours on a GPU, by units and images | {doc}`/world/networks` |

# %% tags=["parameters"]
edition = "world"  # world | imagenette | imagenet | a path to your own YAML
seed = 0  # of the units that are drawn, and of the split
device = "auto"  # auto | cpu | cuda
network = "resnet50"  # a role of the edition
photos = 6000  # images for the last layer, where taking a unit away has a closed form
fewer = 1200  # images for earlier layers, where the rest of the network runs again for each unit and image
units = 5  # of each earlier layer, drawn at random; 0 takes all

# %%
import matplotlib.pyplot as plt
import pandas as pd
import torch

import sightglass as sg
from sightglass import explain
from sightglass.show import beside, claim, show

sg.plot.style()
ed = sg.load(edition, device=device)
model = ed.model(network)
images = explain.probing(ed, photos)
probe = explain.probe(ed, network, images=images, seed=seed, keep=sg.kept)
outputs = torch.tensor(ed.outputs, device=ed.device)
labels = outputs[images.labels.to(ed.device)]
head = explain.head_of(model, probe.q[probe.splits.val], labels[probe.splits.val])

# %% [markdown]
# ## Impact of a neuron on an image
#
# Set a unit to 0 at every position of every image. Some answers of the network then turn from right to wrong or from wrong to
# right, and the loss {math}`L` of each image changes. Let acc be 1 for a right answer and 0 for a wrong one, and let a prime mean
# "without the unit". The *impact* of the unit on an image counts both, each as a share of the whole data set's:
#
# ```{math}
# I(x_i) = \tfrac12\left(\frac{\mathrm{acc}_i - \mathrm{acc}'_i}{\sum_j \mathrm{acc}_j} + \frac{L'_i - L_i}{\sum_j L_j}\right)
# ```
#
# *Top Impact* at {math}`\beta` is the share of the impact, without its sign, that the fraction {math}`\beta` of the images with the highest activations
# carries. If all images mattered alike, it would be {math}`\beta`.
#
# In the last layer a unit reaches nothing but the logits, which change by a multiple of its column of weights, so nothing has to run
# again. For earlier layers the output of the layer is kept, and what follows runs once per unit and image. That takes long, so it is done
# for some units and images only, drawn at random. Logits are divided by a temperature that fits the validation images; the published code
# sets it to 1.1.

# %%
taps = {"conv1": "maxpool", "layer1": "layer1", "layer2": "layer2", "layer3": "layer3", "layer4": "penultimate"}
known = dict(model.named_modules())
taps = {name: tap for name, tap in taps.items() if tap in known or tap == "penultimate"}
draw = torch.Generator().manual_seed(seed)
some = torch.randperm(len(images), generator=draw)[: min(fewer, len(images))].sort().values
impact = {"layer4": (explain.head_impacts(head, probe.q, labels), probe.q)}
size = {"layer4": probe.q.shape[1]}
answer = explain.activations(model, images.pixels[some], dict.fromkeys(set(taps.values()) - {"penultimate"}, "mean"))
for name, tap in taps.items():
    if name != "layer4":
        size[name] = answer[tap].shape[1]
        chosen = torch.randperm(size[name], generator=draw)[: units or size[name]].tolist()
        impact[name] = explain.layer_impacts(model, images.pixels[some], labels[some], tap, units=chosen,
                                             temperature=head.temperature, batch=128)
top = {name: explain.top_impact(*impact[name]) for name in taps}  # (units, betas)
print(f"temperature {head.temperature:.2f}")
for name in taps:
    print(f"{name}: {top[name].shape[0]} of {size[name]} units on {len(impact[name][0])} images")

# %% [markdown]
# ## Where the impact lies

# %% tags=["hide-input"]
fine = [0.0003, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
fig, ax = plt.subplots(figsize=(5.2, 3.6))
for i, name in enumerate(taps):
    curve = explain.top_impact(*impact[name], fine).nanmean(0).cpu()
    ax.plot(fine, curve, marker="osv^D"[i % 5], ms=4, color=sg.plot.PALETTE[i], label=name)
ax.plot(fine, fine, color="#999999", lw=0.8, ls="--", label="all images alike")
ax.set(xscale="log", xlabel="share of the images, highest activations first", ylabel="share of the impact")
ax.legend()
plt.show()

# %%
betas = [f"{beta:g}" for beta in explain.BETAS]
column = {name: [100 * explain.mean_and_error(values)[0] for values in top[name].T] for name in taps}
error = {name: [100 * explain.mean_and_error(values)[1] for values in top[name].T] for name in taps}
measured = pd.DataFrame(column, index=betas)
measured["all"] = sum(measured[name] * size[name] for name in taps) / sum(size[name] for name in taps)
show(beside(measured, "tab-le-1"), "tab-le-1",
     f"Top Impact in percent at five shares β of the images: the part of a unit's effect on {network} that lies on its highest activations. "
     f"Mean over units; the layers before the last are sampled, {units or 'all'} units on {len(some)} images each, and `all` weighs layers by "
     "their units (Linear Explanations, table 1).")

# %%
pd.DataFrame(error, index=betas).rename_axis("standard error of the mean, %").round(2)

# %% [markdown]
# Read this with care. A network that is nearly always right gives every single unit little to do: its whole effect on the answers may lie on a
# handful of difficult images, and whether one of these is among the highest ones is luck. The standard error is over units, which share
# their images, so it doesn't count that luck. The smallest shares may be less than one image; that part of the first image's
# impact is counted then.

# %%
small = measured.loc["0.002", list(taps)]
claim("linear-1", holds=bool((small < 5).all()),
      because=f"Top Impact at 0.002: {', '.join(f'{name} {value:.2f}%' for name, value in small.items())}.")

# %%
wide = measured.loc[["0.02", "0.1", "0.5"], list(taps)]
above = all(wide.loc[beta, name] > 100 * float(beta) for beta in wide.index for name in taps)
at = wide.loc["0.02"].tolist()
growing = all(a < b for a, b in zip(at, at[1:], strict=False))
claim("linear-2", holds=above and growing,
      because=f"Top Impact is {'above' if above else 'not everywhere above'} β from 0.02 on. At 0.02 it goes "
              + ", ".join(f"{value:.1f}% ± {error[name][2]:.1f} ({name})" for name, value in wide.loc["0.02"].items()) + " from layer to layer.")

# %% [markdown]
# :::{admonition} What to take away
# :class: tip
# - Whatever the highest activations carry, most of a neuron's effect lies elsewhere ({numref}`tab-le-1`).
# - So a description that fits the top images may miss most of the neuron. Descriptions should answer for all images, which is
#   what {doc}`/linear/3-method` aims at.
# - An effect without its sign is counted here: images that a unit harms weigh as much as those that it helps.
# :::
#
# ## Copy this
#
# Top Impact of some units of any timm layer. Weights, images and labels are random.

# %%
import timm
import torch

from sightglass import explain

torch.manual_seed(0)  # another seed may draw a unit that never fires
my_model = timm.create_model("resnet18", pretrained=False, num_classes=3).eval().requires_grad_(False)
my_images, my_labels = torch.rand(24, 3, 64, 64), torch.arange(24) % 3
my_impacts, my_activations = explain.layer_impacts(my_model, my_images, my_labels, "layer3", units=[0, 5])
my_shares = explain.top_impact(my_impacts, my_activations, [0.1, 0.5, 1.0])
assert my_shares.shape == (2, 3) and torch.allclose(my_shares[:, 2], torch.ones(2).double())

# %% [markdown]
# :::{dropdown} Try next: more units
# Run `python -m sightglass run world linear/2 -p units=0 -p fewer=2000` when you have an hour. Does the order of layers hold?
# :::
#
# :::{dropdown} Try next: another network
# The world's `resnet18` tells places. Run with `-p network=resnet18`, the page needs their labels: replace `images.labels` by `images.scenes.target("places")`.
# :::
