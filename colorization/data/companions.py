"""Companions of photos, recognized by name: files that programs and devices make beside photos.

A rule matches only names that no person gives to photos or their folders: names and endings that
only programs use, or that the folder above or a file beside confirms. The same holds for hidden
files and folders, whose names begin with a dot.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from colorization.decoding.file_kinds import has_photo_ending, is_raw_name

_FILES = re.compile(
    # Small copies: of films and photos by cameras, drones and media players, of disks'
    # pictures by Windows and its player, HP's programs, Synology, Immich and PhotoPrism; of what
    # Telegram exports.
    r".*\.(thm|lrv|glv|scr|tbn)|lrv_\d{8}_\d{6}_\d\d_\d+\.(insv|mp4)|ydxj\d+_thm\.mp4"
    r"|(folder|favicon)\.ico|albumart(small|_\{.*)\.jpg|(eh)?thumbs\.db"
    r"|hpothb07\.tif|syno(photo|file)_thumb_.*|[0-9a-f]{40}_\d+x\d+_\w+\.(jpg|png)"
    r"|.*@\d\d-\d\d-\d{4}_\d\d-\d\d-\d\d_thumb\.jpg"
    r"|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}[-_](thumbnail|preview|fullsize)\.(jpe?g|webp)"
    # Backups and unfinished edits, of ExifTool and macOS among others; files deleted on Android.
    r"|.*(_original|_exiftool_tmp|\.(bak|old|tmp|temp|ffs_tmp)|~|\.sb-[0-9a-f]{8}-\w{6})"
    r"|\.trashed-\d+-.*"
    # Unfinished downloads and copies.
    r"|.*\.(part|partial|crdownload|download|opdownload|fdmdownload|downloading|incomplete)"
    r"|.*\.(filepart|aria2|xltd|bts)|.*\.\w{2,5}\.(![a-z]+|[a-z]{2}!|td)"
    # What macOS keeps of a file that other disks have no place for.
    r"|\._.*",
    re.DOTALL,
)
_FOLDERS = re.compile(
    # Of Synology, QNAP, Buffalo, Nextcloud, GoodSync, macOS, Windows and Linux.
    r"@eadir|@tmp|@recycle|@recently-snapshot|#recycle|#snapshot|trashbox|_gsdata_"
    r"|files_(trashbin|versions)|appdata_oc\w+|web-file-upload-.*"
    r"|__macosx|network trash folder|\$recycle\.bin|recycler|system volume information|lost\+found"
    r"|\.(thumbnails|@__thumb|trash.*|recycle.*|appledouble|dropbox\.cache|stversions|dtrash)"
    # Of Sony's cameras, Nokia's phones, Jellyfin and Safari.
    r"|thmbnl|_palbtn|.*\.trickplay|.*\.\w{2,5}\.download"
    # Of Lightroom, which also keeps photos from phones in such a folder.
    r"|(?!mobile downloads\.).*\.lrdata|.*\.lrcat-data",
    re.DOTALL,
)
# Folders that are recognized together with the folders above them.
_PATHS = re.compile(
    # Libraries of Photos and Capture One: all but the photos in them.
    r"\.(photoslibrary/(?!(originals|masters)$)|cocatalog/(?!originals$))[^/]+$"
    # Libraries of iPhoto and Aperture.
    r"|(\.(migrated)?(photo|ap)library|/(iphoto library|iphoto-mediathek|phototh.{1,2}que iphoto)"
    r"[^/]*)/(thumbnails|previews|data|data\.noindex|ipod photo cache)$"
    # Lightroom's and Capture One's caches beside photos; phones' and cameras' thumbnails.
    r"|\.lrlibrary/([^/]+/)?cache$|/captureone/(cache|settings\d*)$"
    r"|/photodata/(thumbnails|metadata|caches)$|/android/data/[^/]+/cache$"
    r"|/misc/thm$|/contents/icon$|/m4root/sub$",
    re.DOTALL,
)
# Endings that are added to the name of a photo for a backup copy of it.
_BACKUP_ENDINGS = (".orig", ".original", ".backup", ".bkp", ".sav", ".save")
# Google's phones add this to the name of a photo that is stored as a raw file, too.
_PIXEL_RAW = re.compile(r"\.RAW-\d\d(\.[A-Z]+)*$")


def is_companion_folder(parent: str, name: str) -> bool:
    """Whether a folder holds thumbnails, previews or deleted files rather than photos.

    Args:
      parent: absolute path or address of the folder above.
      name: of the folder.
    """
    path = f"{parent}/{name}".replace(os.sep, "/").lower()
    return bool(_FOLDERS.fullmatch(name.lower()) or _PATHS.search(path))


def without_companions(names: Iterable[str]) -> list[str]:
    """The names of files in a folder, in order, without those of companions.

    A raw file is a companion of the picture that the camera has made of it.
    """
    names = list(names)
    siblings = set(names)
    developed = {_stem(name) for name in names if has_photo_ending(name) and not is_raw_name(name)}

    def is_companion(name: str) -> bool:
        stem, ending = os.path.splitext(name)
        return (
            bool(_FILES.fullmatch(name.lower()))
            or (ending.lower() in _BACKUP_ENDINGS and stem in siblings)
            or (stem.endswith("_thumb") and stem.removesuffix("_thumb") in siblings)
            or (is_raw_name(name) and _stem(name) in developed)
        )

    return [name for name in names if not is_companion(name)]


def _stem(name: str) -> str:
    return _PIXEL_RAW.sub("", os.path.splitext(name)[0])
