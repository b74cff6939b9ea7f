"""What paper 1 printed: its tables and what its text counts, to stand beside what is measured here.

Spelt as in the house: `Selfie` is what the paper adds up of four kinds, the kinds carry their full names, and an
attribute's categories are those of table 1 (the paper spells some of them otherwise in table 5).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Table 1: pictures a category; the selfies stand there by kind, with `Indoor Selfie` for Indoor Ordinary Selfie.
TABLE_1: Mapping[str, int] = MappingProxyType(
    {
        "Indoor Ordinary Selfie": 3222,
        "Pet": 1180,
        "Bed": 2083,
        "Big Word Ad": 1239,
        "Small Group Photo": 968,
        "Poster": 1922,
        "Chart": 1157,
        "Pink Goods": 1431,
        "Child": 5491,
        "Flower": 2105,
        "Cosmetic": 3878,
        "Cosmetics Ad": 1711,
        "Activity": 1544,
        "Large Group Photo": 1195,
        "Building": 2548,
        "TV & Poster Screenshot": 1818,
        "Toy": 2022,
        "Snack": 1731,
        "Landscape Photo": 2519,
        "Tourist Photo": 3567,
        "Sunglass & Handbag": 3279,
        "Photoshop Photo": 1439,
        "Star": 1959,
        "Beauty Ad": 1951,
        "Holding Something Selfie": 3032,
        "Cosmetic Tips": 3952,
        "Display Rack": 1301,
        "Hand & Leg": 2197,
        "Wallet & Accessory": 1949,
        "Fruit & Cake": 1973,
        "WeChat Moment": 1989,
        "Motto": 984,
        "WeChat Expression": 1281,
        "QR-code": 1281,
        "WeChat Wallet": 1891,
        "Chat Screenshot": 5506,
        "Other Ad": 1029,
        "Comic": 1767,
        "Essay": 2081,
        "Other Goods": 2612,
        "Shoes": 2538,
        "Necklace & Bracelet": 2491,
        "Clothes": 1855,
        "Baby": 1367,
        "Full-Length Photo": 5183,
        "Special Effects Photo": 2424,
        "Very Long Picture": 245,
        "Meal": 2977,
        "Outdoor Selfie": 2359,
        "Face Mask Selfie": 1467,
    }
)
TABLE_1_TOTAL = 109_545  # the paper's sum; the rows give 109,690

# Table 2: accuracy in per cent by task and features. What the paper strikes out is absent.
TABLE_2: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("R1", "F"): 89.36,
        ("R2", "F"): 65.84,
        ("R2", "I"): 73.63,
        ("R2", "S"): 64.08,
        ("R2", "F+I"): 83.52,
        ("R2", "S+I"): 74.76,
        ("R2", "F+S+I"): 77.67,
        ("R3", "F"): 61.54,
        ("R3", "I"): 65.93,
        ("R3", "S"): 77.67,
        ("R3", "F+S"): 77.67,
        ("R3", "S+I"): 70.87,
        ("R3", "F+S+I"): 72.82,
    }
)

# Table 3: pictures by kind of selfie and by faces.
TABLE_3: Mapping[str, int] = MappingProxyType(
    {
        "Indoor Ordinary Selfie": 3222,
        "Outdoor Selfie": 2359,
        "Holding Something Selfie": 3032,
        "Face Mask Selfie": 1467,
        "One-face Selfie": 8960,
        "Multi-face Selfie": 1120,
        "Selfie": 10_080,
    }
)

# Table 4: accuracy in per cent by task, from feature F.
TABLE_4: Mapping[str, float] = MappingProxyType(
    {"R4": 78.64, "R5": 80.20, "R6_holding_something": 92.55, "R6_face_mask": 90.32}
)

# Table 6: accuracy in per cent by attribute, from the seven measures.
TABLE_6: Mapping[str, float] = MappingProxyType(
    {"Travel": 87.60, "Cosmetic": 89.26, "Children": 76.03, "Living Goods": 72.73, "WeChat": 73.55, "Food": 63.64}
)

# 5.2.1: R1 from captions, in per cent: the LSTM by caption and by user. Of doc2vec the paper says "below 55%".
LSTM_CAPTIONS, LSTM_USERS = 59.32, 67.86

# 5.1 and 5.2: users and pictures, and those left with 50 occurrences or more.
USERS, USERS_LEFT, PICTURES_LEFT = 570, 283, 100_677

# 5.2.3: the ranking of attributes for each measure, from high to low. Of selfie singleness the paper only says that
# WeChat is highest and the others are similar.
_CHILDREN, _COSMETIC, _LIVING = "Children", "Cosmetic", "Living Goods"
RANKING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "selfie_frequency": (_CHILDREN, _COSMETIC, "Travel", "Food", _LIVING, "WeChat"),
        "selfie_inertia": (_COSMETIC, "WeChat", _CHILDREN, "Travel", "Food", _LIVING),
        "selfie_singleness": ("WeChat",),
        "group_tendency": (_CHILDREN, "Travel", "Food", "WeChat", _LIVING, _COSMETIC),
        "outdoor_tendency": (_CHILDREN, "Travel", "Food", _LIVING, "WeChat", _COSMETIC),
        "holding_something_tendency": (_COSMETIC, "WeChat", _CHILDREN, _LIVING, "Travel", "Food"),
        "face_mask_tendency": (_COSMETIC, "WeChat", _CHILDREN, _LIVING, "Travel", "Food"),
    }
)
