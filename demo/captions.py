"""What people write: phrases and hashtags a kind of picture, feelings that move likes, in six languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LANGUAGES = ("en", "es", "de", "zh", "ja", "ar")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Of one kind: `phrases` by language (English where one lacks), emoji, hashtags without #, English tags, board."""

    phrases: dict[str, tuple[str, ...]]
    emoji: tuple[str, ...]
    hashtags: tuple[str, ...]
    tags: tuple[str, ...]
    board: str


VOCABULARY = {
    "selfie_indoor": Vocabulary(
        {
            "en": ("me at home", "new haircut, what do you think", "just me"),
            "es": ("yo en casa", "solo yo"),
            "de": ("nur ich zu Hause", "neue Frisur"),
            "zh": ("在家的我", "今天的自拍"),
            "ja": ("家で自撮り",),
            "ar": ("أنا في البيت",),
        },
        ("🤳", "😊", "💁"),
        ("selfie", "me", "自拍", "yo", "ich"),
        ("selfie", "portrait", "person"),
        "Me",
    ),
    "selfie_outdoor": Vocabulary(
        {
            "en": ("out and about", "me and this view", "fresh air"),
            "es": ("de paseo", "yo y esta vista"),
            "de": ("draußen unterwegs", "frische Luft"),
            "zh": ("出门走走", "我和风景"),
            "ja": ("散歩中",),
            "ar": ("في الهواء الطلق",),
        },
        ("🌞", "🤳", "🌿"),
        ("outdoorselfie", "outside", "旅行自拍", "alairelibre", "draussen"),
        ("selfie", "outdoor", "travel"),
        "Out",
    ),
    "selfie_holding": Vocabulary(
        {
            "en": ("look what I have got", "me and my treasure", "guess what this is"),
            "es": ("mira lo que tengo",),
            "de": ("schaut, was ich habe",),
            "zh": ("看我手里的", "新宝贝"),
            "ja": ("これ見て",),
            "ar": ("انظروا ماذا معي",),
        },
        ("🤗", "🎁", "☕"),
        ("lookatthis", "mytreasure", "看这个", "miraesto"),
        ("selfie", "portrait", "gift"),
        "Mine",
    ),
    "selfie_mask": Vocabulary(
        {
            "en": ("mask on", "safe and sound", "only eyes today"),
            "es": ("con mascarilla",),
            "de": ("mit Maske",),
            "zh": ("戴口罩出门", "口罩日常"),
            "ja": ("マスクの日",),
            "ar": ("مع الكمامة",),
        },
        ("😷", "🧴", "💙"),
        ("maskon", "staysafe", "口罩", "mascarilla", "マスク"),
        ("mask", "health", "selfie"),
        "Care",
    ),
    "group_small": Vocabulary(
        {
            "en": ("us", "my favourite people", "together again at last"),
            "es": ("nosotros", "mis amigos"),
            "de": ("wir", "meine Leute"),
            "zh": ("我们几个", "好朋友"),
            "ja": ("みんなで",),
            "ar": ("نحن معا",),
        },
        ("👯", "🥳", "❤️"),
        ("friends", "besties", "朋友", "amigos", "freunde"),
        ("friends", "people", "group"),
        "Friends",
    ),
    "group_large": Vocabulary(
        {
            "en": ("the whole team", "class reunion", "everybody came"),
            "es": ("todo el equipo",),
            "de": ("das ganze Team",),
            "zh": ("全体合影", "团队"),
            "ja": ("全員集合",),
            "ar": ("الفريق كله",),
        },
        ("🎉", "🙌", "👏"),
        ("team", "reunion", "合影", "equipo", "klassentreffen"),
        ("people", "crowd", "event"),
        "Events",
    ),
    "cat": Vocabulary(
        {
            "en": ("my cat", "Chelsea is watching you", "boss of the house"),
            "es": ("mi gata", "la jefa de la casa"),
            "de": ("meine Katze", "Chefin im Haus"),
            "zh": ("我家的猫", "喵星人"),
            "ja": ("うちの猫", "にゃんこ"),
            "ar": ("قطتي",),
        },
        ("🐱", "😻", "🐾"),
        ("cat", "catsofinstagram", "猫", "gato", "katze", "ネコ"),
        ("cat", "pets", "animal"),
        "Cats",
    ),
    "coffee": Vocabulary(
        {
            "en": ("first espresso", "coffee time", "a cup of happiness"),
            "es": ("un café", "hora del café"),
            "de": ("erst mal Kaffee", "ein Espresso"),
            "zh": ("一杯咖啡", "咖啡时间"),
            "ja": ("コーヒータイム",),
            "ar": ("قهوة الصباح",),
        },
        ("☕", "😋", "🤎"),
        ("coffee", "espresso", "咖啡", "café", "kaffee", "コーヒー"),
        ("coffee", "food", "drink"),
        "Taste",
    ),
    "temple": Vocabulary(
        {
            "en": ("the pagoda above the lake", "summer palace", "what a view"),
            "es": ("el templo", "qué vista"),
            "de": ("der Tempel am See", "was für ein Blick"),
            "zh": ("颐和园", "佛香阁"),
            "ja": ("お寺の景色",),
            "ar": ("المعبد القديم",),
        },
        ("🏯", "✈️", "📸"),
        ("travel", "temple", "颐和园", "viaje", "reise", "旅行"),
        ("travel", "architecture", "building"),
        "Travel",
    ),
    "flower": Vocabulary(
        {
            "en": ("dahlia in bloom", "from my garden", "petals"),
            "es": ("una flor", "mi jardín"),
            "de": ("Dahlie im Garten", "alles blüht"),
            "zh": ("花开了", "大丽花"),
            "ja": ("花が咲いた",),
            "ar": ("زهرة من حديقتي",),
        },
        ("🌼", "🌸", "🌺"),
        ("flower", "dahlia", "花", "flores", "blumen"),
        ("flower", "nature", "garden"),
        "Garden",
    ),
    "rocket": Vocabulary(
        {
            "en": ("ready for launch", "falcon on the pad", "to the stars"),
            "es": ("lista para el despegue",),
            "de": ("bereit zum Start",),
            "zh": ("火箭发射", "飞向太空"),
            "ja": ("打ち上げ前",),
            "ar": ("جاهز للإطلاق",),
        },
        ("🚀", "🌌", "🔥"),
        ("rocket", "spacex", "火箭", "cohete", "rakete"),
        ("rocket", "space", "technology"),
        "Space",
    ),
    "photographer": Vocabulary(
        {
            "en": ("behind the camera", "waiting for the light", "tripod days"),
            "es": ("detrás de la cámara",),
            "de": ("hinter der Kamera",),
            "zh": ("摄影师", "等光"),
            "ja": ("カメラマン",),
            "ar": ("خلف الكاميرا",),
        },
        ("📷", "🎞️", "🧥"),
        ("photography", "tripod", "摄影", "fotografía", "fotografie"),
        ("photography", "camera", "art"),
        "Craft",
    ),
    "galaxies": Vocabulary(
        {
            "en": ("deep field", "every dot a galaxy", "so far away"),
            "es": ("campo profundo",),
            "de": ("jeder Punkt eine Galaxie",),
            "zh": ("星系", "宇宙深处"),
            "ja": ("宇宙",),
            "ar": ("مجرات بعيدة",),
        },
        ("🌌", "✨", "🔭"),
        ("hubble", "galaxies", "宇宙", "galaxias", "astronomie"),
        ("astronomy", "space", "science"),
        "Space",
    ),
    "coins": Vocabulary(
        {
            "en": ("from Pompeii", "my collection", "old money"),
            "es": ("monedas antiguas",),
            "de": ("alte Münzen",),
            "zh": ("古币", "收藏"),
            "ja": ("古いコイン",),
            "ar": ("عملات قديمة",),
        },
        ("🪙", "🏺", "🧐"),
        ("coins", "numismatics", "古币", "monedas", "münzen"),
        ("coins", "history", "collecting"),
        "Finds",
    ),
    "pavement": Vocabulary(
        {
            "en": ("lines", "the way home", "bricks"),
            "es": ("ladrillos",),
            "de": ("Pflaster", "der Heimweg"),
            "zh": ("砖墙",),
            "ja": ("レンガ",),
            "ar": ("طوب",),
        },
        ("🧱", "👣"),
        ("bricks", "texture", "砖", "ladrillos", "pflaster"),
        ("texture", "street", "architecture"),
        "Textures",
    ),
    "meadow": Vocabulary(
        {
            "en": ("grass under my feet", "the meadow", "green"),
            "es": ("hierba",),
            "de": ("Wiese", "alles grün"),
            "zh": ("草地",),
            "ja": ("草原",),
            "ar": ("عشب أخضر",),
        },
        ("🌱", "🍀"),
        ("grass", "meadow", "草地", "hierba", "wiese"),
        ("grass", "nature", "green"),
        "Green",
    ),
    "gravel": Vocabulary(
        {
            "en": ("stones", "gravel path", "grey on grey"),
            "es": ("grava",),
            "de": ("Kies",),
            "zh": ("碎石",),
            "ja": ("砂利",),
            "ar": ("حصى",),
        },
        ("🪨", "👟"),
        ("gravel", "stones", "碎石", "grava", "kies"),
        ("texture", "stone", "ground"),
        "Textures",
    ),
    "microscope": Vocabulary(
        {
            "en": ("under the microscope", "stained tissue", "lab day"),
            "es": ("en el laboratorio",),
            "de": ("unter dem Mikroskop",),
            "zh": ("显微镜下", "实验室"),
            "ja": ("顕微鏡",),
            "ar": ("تحت المجهر",),
        },
        ("🔬", "🧫", "🧬"),
        ("microscopy", "histology", "显微镜", "microscopio", "labor"),
        ("science", "biology", "medicine"),
        "Lab",
    ),
    "retina": Vocabulary(
        {
            "en": ("inside an eye", "check-up", "fundus"),
            "es": ("dentro del ojo",),
            "de": ("Blick ins Auge",),
            "zh": ("眼底",),
            "ja": ("眼底検査",),
            "ar": ("داخل العين",),
        },
        ("👁️", "🩺"),
        ("retina", "eye", "眼底", "retinografía"),
        ("medicine", "eye", "science"),
        "Lab",
    ),
    "uniform": Vocabulary(
        {
            "en": ("dressed up", "ribbons and buttons", "outfit of the day"),
            "es": ("de uniforme",),
            "de": ("schick heute",),
            "zh": ("制服", "今日穿搭"),
            "ja": ("制服",),
            "ar": ("زي رسمي",),
        },
        ("👔", "🎖️", "🧥"),
        ("outfit", "uniform", "穿搭", "moda", "mode"),
        ("fashion", "clothes", "style"),
        "Style",
    ),
    "horse": Vocabulary(
        {
            "en": ("my horse, in black", "silhouette", "horse lover"),
            "es": ("mi caballo",),
            "de": ("mein Pferd",),
            "zh": ("马",),
            "ja": ("馬",),
            "ar": ("حصاني",),
        },
        ("🐴", "🐎"),
        ("horse", "silhouette", "马", "caballo", "pferd"),
        ("horse", "animal", "drawing"),
        "Horses",
    ),
    "handwriting": Vocabulary(
        {
            "en": ("notes", "can you read this", "homework"),
            "es": ("apuntes",),
            "de": ("Notizen",),
            "zh": ("笔记", "手写"),
            "ja": ("手書き",),
            "ar": ("ملاحظات",),
        },
        ("✍️", "📝"),
        ("notes", "handwriting", "笔记", "apuntes", "notizen"),
        ("writing", "study", "paper"),
        "Notes",
    ),
    "chat": Vocabulary(
        {
            "en": ("this conversation", "he said what", "screenshot"),
            "es": ("esta conversación",),
            "de": ("dieser Chat",),
            "zh": ("聊天记录", "笑死"),
            "ja": ("トーク画面",),
            "ar": ("هذه المحادثة",),
        },
        ("💬", "😂", "🙈"),
        ("chat", "screenshot", "聊天", "conversación"),
        ("chat", "text", "phone"),
        "Talk",
    ),
    "motto": Vocabulary(
        {
            "en": ("words to live by", "motto", "remember this"),
            "es": ("frase del día",),
            "de": ("Spruch des Tages",),
            "zh": ("每日一句", "座右铭"),
            "ja": ("今日の言葉",),
            "ar": ("حكمة اليوم",),
        },
        ("💭", "🙏", "✨"),
        ("quote", "motto", "语录", "frases", "spruch"),
        ("quote", "text", "motivation"),
        "Words",
    ),
    "long": Vocabulary(
        {
            "en": ("long read", "worth every line", "read to the end"),
            "es": ("para leer",),
            "de": ("lang, aber lesenswert",),
            "zh": ("长图", "好文分享"),
            "ja": ("長い記事",),
            "ar": ("مقال طويل",),
        },
        ("📖", "⬇️"),
        ("longread", "article", "长图", "lectura", "lesen"),
        ("reading", "article", "news"),
        "Reading",
    ),
}

# (what people add, its term in the rule for likes), by language.
FEELINGS: dict[str, tuple[tuple[str, float], ...]] = {
    "en": (
        ("finally!", 0.5),
        ("so in love with this", 0.4),
        ("giveaway tomorrow", 0.6),
        ("proud of this one", 0.35),
        ("have a good weekend", 0.2),
        ("nothing special", -0.3),
        ("monday again", -0.4),
        ("a bit tired", -0.3),
        ("sponsored, ad", -0.6),
        ("here we are", 0.0),
        ("more to come", 0.0),
    ),
    "es": (
        ("¡por fin!", 0.5),
        ("amor total", 0.4),
        ("sorteo mañana", 0.6),
        ("otra vez lunes", -0.4),
        ("cansado", -0.3),
        ("publicidad", -0.6),
        ("aquí estamos", 0.0),
    ),
    "de": (
        ("endlich!", 0.5),
        ("ganz verliebt", 0.4),
        ("Verlosung morgen", 0.6),
        ("schon wieder Montag", -0.4),
        ("müde", -0.3),
        ("Werbung", -0.6),
        ("so ist das", 0.0),
    ),
    "zh": (
        ("终于!", 0.5),
        ("最爱", 0.4),
        ("明天抽奖", 0.6),
        ("又是周一", -0.4),
        ("好累", -0.3),
        ("广告", -0.6),
        ("随便拍拍", 0.0),
    ),
    "ja": (
        ("ついに!", 0.5),
        ("大好き", 0.4),
        ("また月曜日", -0.4),
        ("疲れた", -0.3),
        ("広告", -0.6),
        ("いつもの", 0.0),
    ),
    "ar": (("أخيرا!", 0.5), ("أحب هذا", 0.4), ("سحب غدا", 0.6), ("متعب", -0.3), ("إعلان", -0.6), ("كالعادة", 0.0)),
}
GENERAL_HASHTAGS = ("photooftheday", "instagood", "日常", "nofilter", "weekend", "tbt")


@dataclass(frozen=True, slots=True)
class Caption:
    """`text` as posted; `words`: the sum of the terms of its feelings; `hashtags` in it, without #."""

    text: str
    words: float
    hashtags: tuple[str, ...]


def write(kinds: Sequence[str], language: str, chattiness: float, rng: np.random.Generator) -> Caption:
    """A caption for a post that shows `kinds` (the main one first); `chattiness` 0-1: how much its author writes.

    Hashtags are of the kinds shown, or general. A post without kinds gets words alone.
    """
    parts: list[str] = []
    words = 0.0
    if kinds and rng.random() < 0.9:
        phrases = VOCABULARY[kinds[0]].phrases
        spoken = phrases.get(language, phrases["en"])
        parts.append(spoken[rng.integers(len(spoken))])
    if rng.random() < 0.45 + 0.5 * chattiness or not kinds:
        feelings = FEELINGS[language]
        first = int(rng.integers(len(feelings)))
        picked = [first]
        if rng.random() < 0.3 * chattiness:
            picked.append((first + 1 + int(rng.integers(len(feelings) - 1))) % len(feelings))
        parts.extend(feelings[index][0] for index in picked)
        words = sum(feelings[index][1] for index in picked)
    text = ("，" if language in ("zh", "ja") else ", ").join(parts)
    if rng.random() < 0.004:
        text = text.replace(", ", ",\u2028", 1)  # a line separator, which ends no line of a jsonl file
    shown = list(dict.fromkeys(kinds))
    if shown and rng.random() < 0.7:
        emoji = VOCABULARY[shown[0]].emoji
        text += " " + emoji[rng.integers(len(emoji))] * int(rng.integers(1, 3))
    choice = [tag for kind in shown for tag in VOCABULARY[kind].hashtags]
    count = min(len(choice), int(rng.binomial(5, 0.2 + 0.5 * chattiness)))
    hashtags = [choice[index] for index in rng.choice(len(choice), size=count, replace=False)] if count else []
    if rng.random() < 0.25:
        hashtags.append(GENERAL_HASHTAGS[rng.integers(len(GENERAL_HASHTAGS))])
    hashtags = list(dict.fromkeys(hashtags))
    text = " ".join(filter(None, (text.strip(), *(f"#{tag}" for tag in hashtags))))
    return Caption(text, words, tuple(hashtags))
