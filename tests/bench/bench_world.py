"""Drawing the world in batches against one image at a time, and the pixels are the same."""

import time

import torch

from sightglass import world


def main(images: int = 480) -> None:
    """Print images a second of both ways and their ratio."""
    torch.set_num_threads(1)
    scenes = world.plan(range(images), 0)
    world.draw(scenes[torch.arange(48)])
    started = time.perf_counter()
    batch = world.draw(scenes)
    fast = images / (time.perf_counter() - started)
    few = images // 5
    started = time.perf_counter()
    loop = world.Scenes.cat([world.draw(scenes[torch.tensor([i])]) for i in range(few)])
    slow = few / (time.perf_counter() - started)
    same = torch.equal(loop.image, batch.image[:few])
    print(f"world: {fast:.0f} images a second in a batch, {slow:.0f} one by one, {fast / slow:.1f} times")
    print(f"world: same pixels both ways: {same}")


if __name__ == "__main__":
    main()
