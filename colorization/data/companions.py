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
    # Telegram and Snapchat export. What Snapchat lays over photos. Icons.
    r".*\.(thm|lrv|glv|scr|tbn)|lrv_\d{8}_\d{6}_\d\d_\d+\.(insv|mp4)|ydxj\d+_thm\.mp4"
    r"|.*\.(ico|cur|icns)|albumart(small|_\{.*)\.jpg|(eh)?thumbs\.db|desktop\.ini"
    r"|hpothb07\.tif|syno(photo|file)_thumb_.*|[0-9a-f]{40}_\d+x\d+_\w+\.(jpg|png)"
    r"|.*@\d\d-\d\d-\d{4}_\d\d-\d\d-\d\d_thumb\.jpg"
    r"|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}[-_](thumbnail|preview|fullsize)\.(jpe?g|webp)"
    r"|\d{4}-\d\d-\d\d_([0-9a-f-]{36}-overlay\.png|(overlay|thumbnail)~.*)"
    # Backups and unfinished edits, of ExifTool and macOS among others; files deleted on Android.
    r"|.*(_original|_exiftool_tmp|\.(bak\d*|old|tmp|temp|ffs_tmp)|~|\.sb-[0-9a-f]{8}-\w{6})"
    r"|\.trashed-\d+-.*"
    # Unfinished downloads and copies.
    r"|.*\.(part(-frag\d+)?|partial|crdownload|download|opdownload|fdmdownload|downloading)"
    r"|.*\.(incomplete|filepart|dtapart|aria2|xltd|bts)|.*\.\w{2,5}\.(![a-z]+|[a-z]{2}!|td)"
    r"|.*\.temp\.(mp4|mkv|webm|mov)"
    # What macOS keeps of a file that other disks have no place for.
    r"|\._.*",
    re.DOTALL,
)
_FOLDERS = re.compile(
    # Of Synology, QNAP, Buffalo, NetApp, Nextcloud, GoodSync, macOS, Windows and Linux.
    r"@eadir|@tmp|@recycle|@transcode|@recently-snapshot|#recycle|#snapshot|~snapshot|trashbox"
    r"|_gsdata_|files_(trashbin|versions)|appdata_oc\w+|web-file-upload-.*"
    r"|__macosx|network trash folder|\$recycle\.bin|recycler|system volume information|lost\+found"
    r"|\.(thumbnails|@__thumb|trash.*|recycle.*|appledouble|dropbox\.cache|stversions|dtrash)"
    # Of Sony's cameras, Nokia's phones, Jellyfin, Mylio and Safari.
    r"|thmbnl|_palbtn|.*\.trickplay|generated images\.bundle|.*\.\w{2,5}\.download"
    # What Immich, DaVinci Resolve, Final Cut Pro and Premiere make of films.
    r"|encoded-video|proxymedia|cacheclip|.*\.fcpcache|adobe premiere pro (video|audio) previews"
    # Originals of what was edited, of ACDSee and PaintShop Pro.
    r"|\[originals\]|corel auto-preserve"
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
    # Libraries of Final Cut Pro and iMovie.
    r"|\.(fcpbundle|imovielibrary)/[^/]+/(transcoded media|render files)$"
    # Lightroom's and Capture One's caches beside photos; phones' and cameras' thumbnails
    # and small copies of films; what macOS leaves on network disks; Piwigo's small copies.
    r"|\.lrlibrary/([^/]+/)?cache$|/captureone/(cache|settings\d*)$"
    r"|/photodata/(thumbnails|metadata|caches)$|/android/data/[^/]+/cache$"
    r"|/misc/thm$|/contents/(icon|proxy)$|/(m4|xd)root/sub$"
    r"|/temporary items/folders\.\d+$|/_data/i$",
    re.DOTALL,
)
# Endings that are added to the name of a photo for a backup copy of it.
_BACKUP_ENDINGS = (".orig", ".original", ".backup", ".bkp", ".sav", ".save")
# What dcraw, LibRaw and Exiv2 add to the name of a raw file for the previews in it.
_RAW_PREVIEW = re.compile(r"(.+)(\.thumb|-thumb|-preview\d+)\.\w+")
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
    raw_names = {key for name in names if is_raw_name(name) for key in (name.lower(), _stem(name))}

    def is_companion(name: str) -> bool:
        stem, ending = os.path.splitext(name)
        preview = _RAW_PREVIEW.fullmatch(name.lower())
        return (
            bool(_FILES.fullmatch(name.lower()))
            or (ending.lower() in _BACKUP_ENDINGS and stem in siblings)
            or (stem.endswith("_thumb") and stem.removesuffix("_thumb") in siblings)
            or (is_raw_name(name) and _stem(name) in developed)
            or (preview is not None and preview[1] in raw_names)
        )

    return [name for name in names if not is_companion(name)]


def _stem(name: str) -> str:
    """A name that a raw file and its picture share; capitals differ between systems."""
    return _PIXEL_RAW.sub("", os.path.splitext(name)[0]).lower()
