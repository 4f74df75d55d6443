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
    # WeChat keeps, Telegram and Snapchat export; of maps. What Snapchat lays over photos. Icons.
    # Former versions in MediaWiki.
    r".*\.(thm|tnl|lrv|glv|scr|tbn|ovr)|lrv_\d{8}_\d{6}_\d\d_\d+\.(insv|mp4)|ydxj\d+_thm\.mp4"
    r"|.*\.(ico|cur|icns)|albumart(small|_\{.*)\.jpg|(eh)?thumbs\.db|desktop\.ini"
    r"|hpothb07\.tif|syno(photo|file)_thumb_.*|[0-9a-f]{40}_\d+x\d+_\w+\.(jpg|png)"
    r"|th_[0-9a-f]{32}(hd)?|\d{14}!.+"
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
    # What macOS keeps of a file that other disks have no place for; Netatalk writes dots as :2e.
    r"|(\.|:2e)_.*",
    re.DOTALL,
)
_FOLDERS = re.compile(
    # Of Synology, QNAP, Buffalo, NetApp, ReadyNAS, Nextcloud, GoodSync, macOS, Windows and Linux.
    r"@eadir|@tmp|@recycle|@transcode|@recently-snapshot|#recycle|#snapshot|~snapshot|trashbox"
    r"|_gsdata_|files_(trashbin|versions)|appdata_oc\w+|web-file-upload-.*"
    r"|(network )?recycle bin( \d+)?|resource\.frk"
    r"|__macosx|network trash folder|\$recycle\.bin|recycler|system volume information|lost\+found"
    r"|\.(thumbnails|@__thumb|trash.*|recycle.*|appledouble|dropbox\.cache|stversions|dtrash)"
    r"|\.rsync-partial"
    # Of Sony's cameras, Nokia's and Xiaomi's phones, Jellyfin, Mylio and Safari.
    r"|thmbnl|_palbtn|gallery_disk_cache|.*\.trickplay|generated images\.bundle"
    r"|.*\.\w{2,5}\.download"
    # Small copies of LibrePhotos and TYPO3.
    r"|thumbnails_big|square_thumbnails(_small)?|_processed_"
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
    r"[^/]*)/(thumbnails|previews|data|data\.noindex|database|ipod photo cache)$"
    # Documents of Apple's office programs and of Pixelmator.
    r"|\.(key|pages|numbers|pxd)/(quicklook|thumbs)$"
    # Libraries of Final Cut Pro and iMovie.
    r"|\.(fcpbundle|imovielibrary)/[^/]+/(transcoded media|render files)$"
    # Lightroom's and Capture One's caches beside photos; phones' and cameras' thumbnails,
    # small copies of films and their sound; what macOS leaves on network disks; small copies of
    # Piwigo, Lychee, Ghost, Drupal and Hugo.
    r"|\.lrlibrary/([^/]+/)?cache$|/captureone/(cache|settings\d*)$"
    r"|/photodata/(thumbnails|metadata|caches)$|/android/data/[^/]+/cache$"
    r"|/misc/thm$|/contents/(icon|proxy|audio)$|/(m4|xd)root/sub$"
    r"|/temporary items/folders\.\d+$|/_data/i$|/uploads/(thumb|small|medium)(2x)?$"
    r"|/images/size/w\d+(h\d+)?$|/styles/[^/]+/(public|private)$|/resources/_gen$",
    re.DOTALL,
)
# Files, each with its folder, and the names of others, which must all lie beside it.
_CONFIRMED_FILES = [
    (re.compile(pattern, re.DOTALL), beside)
    for pattern, *beside in (
        # Backup copies.
        (r".*/(.+)\.(orig|original|backup|bkp|sav|save)", r"\1"),
        # Small copies: of photos by any program, WordPress, Gallery, Chevereto, Piwigo, MediaWiki
        # and Coppermine, of whose two words people use `normal` too; of documents by Apple's office
        # programs. The same for newer browsers.
        (r".*/(.+)_thumb(\.\w+)?", r"\1"),
        (r".*/(.+)-(\d{3,4}x\d{2,4}|scaled)(\.\w+)", r"\1\3"),
        (r".*/(.+)\.(thumb|sized|th|md)(\.\w+)", r"\1\3"),
        (r"thumbnail/tn-.+",),
        (r"(.+)/\d+px-\1(\.\w+)?",),
        (r".*/(.+\.(jpe?g|png|gif|tiff?))\.(webp|avif)", r"\1"),
        (r".*/thumb_(.+)", r"\1"),
        (r".*/normal_(.+)", r"\1", r"thumb_\1"),
        (r".*\.(key|pages|numbers)/preview(-micro|-web)?\.jpg", r"preview-micro.jpg"),
        # Thumbnails that PhotoRec has found in photos.
        (r"recup_dir\.\d+/t(\d{7,}\.jpg)", r"f\1"),
        # Files deleted on FAT disks, of which Windows keeps a list.
        (r"recycled/d[c-z]\d+\.\w+", r"info2"),
    )
]
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


def without_companions(folder: str, names: Iterable[str]) -> list[str]:
    """The names of files in a folder, in order, without those of companions.

    A raw file is a companion of the picture that the camera has made of it.

    Args:
      folder: path or address.
      names: of files in it.
    """
    folder = os.path.basename(os.path.abspath(folder)).lower()
    names = list(names)
    siblings = {name.lower() for name in names}
    developed = {_stem(name) for name in names if has_photo_ending(name) and not is_raw_name(name)}
    raw_names = {key for name in names if is_raw_name(name) for key in (name.lower(), _stem(name))}

    def is_companion(name: str) -> bool:
        preview = _RAW_PREVIEW.fullmatch(name.lower())
        return (
            bool(_FILES.fullmatch(name.lower()))
            or _is_confirmed(f"{folder}/{name.lower()}", siblings)
            or (is_raw_name(name) and _stem(name) in developed)
            or (preview is not None and preview[1] in raw_names)
        )

    return [name for name in names if not is_companion(name)]


def _is_confirmed(path: str, siblings: set[str]) -> bool:
    """Whether others confirm that a file is a companion; all in small letters."""
    return any(
        (match := pattern.fullmatch(path)) and siblings.issuperset(map(match.expand, beside))
        for pattern, beside in _CONFIRMED_FILES
    )


def _stem(name: str) -> str:
    """A name that a raw file and its picture share; capitals differ between systems."""
    return _PIXEL_RAW.sub("", os.path.splitext(name)[0]).lower()
