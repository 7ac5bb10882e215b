"""Named textures for the synthetic scenes."""

from __future__ import annotations

from .textures import Pattern, Texture

MATERIALS: dict[str, tuple[Pattern, tuple[str, ...], float]] = {
    "sandstone": ("stone", ("#cdbb9c", "#b39a75", "#e0d3b8", "#7d6a50"), 0.3),
    "verdigris": ("stone", ("#5f9c8d", "#3f7568", "#8cc2ae", "#8a5a2f"), 0.25),
    "gilt": ("stone", ("#c99a4b", "#9b6f2e", "#e8c987", "#5b3c17"), 0.25),
    "jade": ("stone", ("#6f9f97", "#4d7a72", "#a2c9bf", "#2d4d47"), 0.25),
    "flagstones": ("flagstones", ("#b8a78c", "#94866f", "#c9b394", "#5f5445"), 0.35),
    "mosaic": ("flagstones", ("#d8c49a", "#c98d5a", "#8fa79a", "#4a3b2a"), 0.3),
    "red brick": ("bricks", ("#b4654a", "#8f4635", "#cf8a66", "#cbbfa8"), 0.3),
    "pale brick": ("bricks", ("#c9b79a", "#ab977a", "#ddd0b8", "#857560"), 0.25),
    "yellow brick": ("bricks", ("#c2a27c", "#a3835f", "#d8bf9c", "#8b7557"), 0.25),
    "roof tiles": ("bricks", ("#b5583a", "#94432c", "#c8744e", "#5c2f22"), 0.3),
    "column marble": ("marble", ("#e6ddcd", "#cfc2ac", "#f2ece0", "#8a7c6a"), 0.25),
    "pedestal marble": ("marble", ("#ddd3c2", "#bfae95", "#eee7da", "#75654f"), 0.25),
    "blue porcelain": ("marble", ("#3f6f95", "#e4e6e0", "#274a6b", "#e9ece6"), 0.25),
    "white porcelain": ("marble", ("#e9e1d0", "#cfe0dc", "#a9c4c4", "#3f7079"), 0.25),
    "speckled ceramic": ("terrazzo", ("#f0e8d8", "#d06a4a", "#39727c", "#e3b450"), 0.25),
    "terracotta": ("plaster", ("#c0663c", "#a04d2b", "#d98b5c", "#6b3019"), 0.25),
    "leaves": ("plaster", ("#5f8f3c", "#36652a", "#93b85a", "#24451c"), 0.5),
    "ochre plaster": ("plaster", ("#e3b778", "#d79a58", "#efd3a4", "#a5713d"), 0.22),
    "cream plaster": ("plaster", ("#e6d2b0", "#d3b88c", "#f1e4cb", "#9a8159"), 0.25),
    "sand plaster": ("plaster", ("#dcc9a8", "#c8b08a", "#ebdfc8"), 0.25),
    "peach plaster": ("plaster", ("#d7b48c", "#c39a6d", "#e6cdae"), 0.25),
    "green plaster": ("plaster", ("#8fa8a0", "#76928a", "#a9bfb7"), 0.25),
    "blue plaster": ("plaster", ("#7f9aa0", "#688389", "#9bb2b6"), 0.25),
    "white plaster": ("plaster", ("#ece6da", "#dcd3c3", "#f5f1ea"), 0.2),
    "asphalt": ("plaster", ("#77757a", "#6a686c", "#85838a", "#5a585c"), 0.3),
    "pavement": ("flagstones", ("#a8a29a", "#98928a", "#b5afa6", "#7c766e"), 0.3),
    "glass": ("uniform", ("#3c4a55",), 0.0),
    "red lacquer": ("uniform", ("#9c2f2a",), 0.0),
    "silver lacquer": ("uniform", ("#a9adb0",), 0.0),
    "globe": ("plaster", ("#3f7f9c", "#d9c98f", "#6d8f4d", "#2a5a75"), 0.3),
    "painted ball": ("plaster", ("#d0533a", "#e8c56a", "#2f6b7c", "#8a2c1e"), 0.25),
    "peach": ("plaster", ("#c8342c", "#e0903a", "#8a1f1f"), 0.3),
    "orange": ("plaster", ("#e39a2d", "#f0c25a", "#c9701c"), 0.3),
    "pear": ("plaster", ("#7f9f35", "#b9c95c", "#4d7326"), 0.3),
    "red petals": ("plaster", ("#c4394a", "#7f2a22", "#f4d27a"), 0.4),
    "orange petals": ("plaster", ("#d9643a", "#7f2a22", "#f4d27a"), 0.4),
    "yellow petals": ("plaster", ("#e8b23c", "#a8502a", "#f4d27a"), 0.4),
    "white petals": ("plaster", ("#f0e2c0", "#b04a3a", "#f4d27a"), 0.4),
    "floor oak": ("planks", ("#b08a5e", "#8f6a42", "#c9a87c", "#4d3620"), 0.25),
    "floor walnut": ("planks", ("#9c7048", "#7c5532", "#b98f63", "#41291a"), 0.25),
    "cherry": ("planks", ("#a8703f", "#84522a", "#c58f5c", "#4a2c15"), 0.25),
    "walnut": ("planks", ("#8c6239", "#6d4726", "#a87f52", "#3c2614"), 0.25),
    "dark wood": ("planks", ("#5b3d22", "#412a15", "#7a5733", "#22150a"), 0.25),
    "pine": ("planks", ("#b98d56", "#94693a", "#d3ac76", "#4f351c"), 0.25),
    "white wood": ("planks", ("#e8e0d2", "#d6cbb8", "#f2ede3", "#9b8f7c"), 0.25),
    "green wood": ("planks", ("#3f6f66", "#2c554f", "#5c8f82", "#173530"), 0.25),
    "blue wood": ("planks", ("#2f6f8f", "#24566f", "#4f8fab", "#132f3d"), 0.25),
    "red carpet": ("weave", ("#8c3b33", "#c98b4f", "#27405a", "#e6d5b0"), 0.25),
    "blue carpet": ("weave", ("#2f4f63", "#b5533c", "#d9b36b", "#e8dcc0"), 0.25),
    "runner": ("weave", ("#d6ccb4", "#3f6c83", "#c9a24f", "#a8473a"), 0.25),
    "mustard cloth": ("weave", ("#b8862f", "#bd8d3a", "#b07f2b", "#c49a4c"), 0.35),
    "warm painting": ("print", ("#e9d7ae", "#d9733f", "#2d5f73", "#1f2a33"), 0.2),
    "cool painting": ("print", ("#d9e0d2", "#6a9a7b", "#c4493d", "#2b2b2b"), 0.2),
    "evening painting": ("print", ("#e8c98f", "#3f7d8c", "#b5412f", "#20303c"), 0.2),
    "patchwork": ("print", ("#e6cf9b", "#c4553a", "#2f6672", "#34261a"), 0.25),
    "paint": ("plaster", ("#d8d2c6", "#d6d0c4", "#dad4c8"), 0.01),
    "bare": ("uniform", ("#d8d2c6",), 0.0),
    "even tiles": ("tiles", ("#e3ddd0", "#4a6b7a"), 0.0),
}
"""Pattern, colours and fine detail by name; scale and seed come with the thing that is made of it."""

_INKS = ("#a63d33", "#2f5d7c", "#d8b25a", "#4c7a4f", "#e4dcc8", "#5b3a59", "#c9713d", "#26333f", "#8fa9a6")
_BINDINGS: tuple[Pattern, ...] = ("plaster", "plaster", "weave", "print")


def material(name: str, scale: float, seed: int) -> Texture:
    """The texture `name`, its largest features `scale` metres in size."""
    pattern, colors, detail = MATERIALS[name]
    return Texture(pattern, colors, scale, detail, seed)


def book_cover(seed: int) -> Texture:
    """One of endless book covers."""
    first, second, third = (_INKS[(seed // 7**k + 2 * k) % len(_INKS)] for k in range(3))
    return Texture(_BINDINGS[seed % len(_BINDINGS)], (first, first, second, third), 0.16, 0.35, seed)
