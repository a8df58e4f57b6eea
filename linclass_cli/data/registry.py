"""The known datasets: where their archives are, and the size and sha256 of every byte that counts.

Nothing heavy is imported here: the command line reads this file to print ``--help``.

Every archive and every member has a sha256, so that an address is only a hint: bytes are accepted for what
they are, never for where they came from.
"""

from __future__ import annotations

from linclass_cli.data.specs import ArchiveSpec, DatasetSpec, MemberSpec
from linclass_cli.digest import digest
from linclass_cli.errors import MissingError, did_you_mean

__all__ = ["DATASETS", "ArchiveSpec", "DatasetSpec", "MemberSpec", "dataset_digest", "find_dataset"]


def _at(name: str, *folders: str) -> tuple[str, ...]:
    return tuple(folder + name for folder in folders)


# The Toronto host answers with redirects to cave.cs.toronto.edu, which are not always followed well; so that
# host stands here by its own name too. The third is what MindSpore's tutorials download from.
_CIFAR_FOLDERS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
)
# The original page of MNIST refuses most downloads today: the copies of torchvision and TFDS go first.
_MNIST_FOLDERS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_FASHION_FOLDERS = (
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_IDX_TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
_IDX_TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_IDX_SIZES = (47_040_016, 60_008, 7_840_016, 10_008)


def _idx_archives(
    folders: tuple[str, ...], packed: tuple[tuple[int, str], ...], plain: tuple[str, ...]
) -> tuple[ArchiveSpec, ...]:
    """The four files of MNIST and its kin: (size, sha256) of the .gz files, and sha256 of what is inside."""
    names = _IDX_TRAIN + _IDX_TEST
    return tuple(
        ArchiveSpec(
            f"{name}.gz",
            "gzip",
            size,
            sha256,
            _at(f"{name}.gz", *folders),
            (MemberSpec(name, member_size, member_sha256),),
        )
        for name, member_size, (size, sha256), member_sha256 in zip(
            names, _IDX_SIZES, packed, plain, strict=True
        )
    )


_CIFAR10 = DatasetSpec(
    name="cifar10",
    form="cifar",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    image_shape=(32, 32, 3),
    n_train=50_000,
    n_test=10_000,
    train=tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
    test=("test_batch.bin",),
    inner="cifar-10-batches-bin",
    archives=(
        ArchiveSpec(
            "cifar-10-binary.tar.gz",
            "tar",
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
            _at("cifar-10-binary.tar.gz", *_CIFAR_FOLDERS),
            tuple(
                MemberSpec(name, 30_730_000, sha256)
                for name, sha256 in (
                    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
                    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
                    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
                    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
                    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
                    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
                )
            ),
        ),
    ),
)

# In the order of fine_label_names.txt.
_FINE_LABELS = (
    "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly "
    "camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile "
    "cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp "
    "lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom "
    "oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine "
    "possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake "
    "spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor "
    "train trout tulip turtle wardrobe whale willow_tree wolf woman worm "
)

_CIFAR100 = DatasetSpec(
    name="cifar100",
    form="cifar",
    classes=tuple(_FINE_LABELS.split()),
    image_shape=(32, 32, 3),
    n_train=50_000,
    n_test=10_000,
    train=("train.bin",),
    test=("test.bin",),
    label_bytes=2,  # coarse, fine
    inner="cifar-100-binary",
    archives=(
        ArchiveSpec(
            "cifar-100-binary.tar.gz",
            "tar",
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            _at("cifar-100-binary.tar.gz", *_CIFAR_FOLDERS),
            (
                MemberSpec(
                    "train.bin",
                    153_700_000,
                    "f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29",
                ),
                MemberSpec(
                    "test.bin",
                    30_740_000,
                    "d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a",
                ),
            ),
        ),
    ),
)

_MNIST = DatasetSpec(
    name="mnist",
    form="idx",
    classes=tuple("0123456789"),
    image_shape=(28, 28, 1),
    n_train=60_000,
    n_test=10_000,
    train=_IDX_TRAIN,
    test=_IDX_TEST,
    archives=_idx_archives(
        _MNIST_FOLDERS,
        (
            (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

_FASHION = DatasetSpec(
    name="fashion-mnist",
    form="idx",
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    image_shape=(28, 28, 1),
    n_train=60_000,
    n_test=10_000,
    train=_IDX_TRAIN,
    test=_IDX_TEST,
    archives=_idx_archives(
        _FASHION_FOLDERS,
        (
            (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
            (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
            (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
            (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
        ),
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
)

_TEXTURES = DatasetSpec(
    name="textures",
    form="embedded",
    classes=("brick", "cell", "grass", "gravel", "moon", "text"),
    image_shape=(32, 32, 1),
    n_train=1_800,
    n_test=348,
    digest="11eb7c9f40d59c4262d47c90a833cfd289fac56d22e26bd8e8b1a74e55bce09e",
)

DATASETS: dict[str, DatasetSpec] = {
    spec.name: spec for spec in (_CIFAR10, _CIFAR100, _FASHION, _MNIST, _TEXTURES)
}


def find_dataset(name: str) -> DatasetSpec:
    """The dataset of that name.

    Raises:
        MissingError: no dataset has that name; the message lists the known ones.
    """
    if name in DATASETS:
        return DATASETS[name]
    hint = did_you_mean(name.lower(), list(DATASETS), 0.5)
    raise MissingError(f"there is no dataset called {name!r}{hint}; known: {', '.join(sorted(DATASETS))}")


def dataset_digest(spec: DatasetSpec) -> str:
    """What names the content of a dataset: sha256 (hex) of the canonical JSON of {member: its sha256}."""
    if spec.digest:
        return spec.digest
    return digest({member.name: member.sha256 for member in spec.members})
