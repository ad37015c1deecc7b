//! OCI image layouts: a folder with `oci-layout`, `index.json` and `blobs/sha256/…`, or a
//! tar archive of one.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use lunikernel_cache::regular::{open_regular, read_bounded};
use lunikernel_cache::{BlobStore, CacheError, Digest};
use serde::Deserialize;
use url::Url;

use super::document::{self, Descriptor, Document, MAX_DOCUMENT};
use super::error::OciError;
use crate::fetch::Answer;
use crate::recipe::OciSource;

/// How many members an archive of a layout may have.
const MAX_MEMBERS: usize = 100_000;

/// A layout on this machine.
#[derive(Debug, Clone)]
pub struct Layout {
    /// As the recipe names it.
    name: String,
    path: PathBuf,
    /// Where the files are in an archive: offset and size; of a folder none.
    spans: Option<BTreeMap<String, (u64, u64)>>,
}

impl Layout {
    /// Opens the layout that a recipe in the folder `folder` names, if it names one.
    ///
    /// # Errors
    /// [`OciError::Layout`] where there is none.
    pub fn of(source: &OciSource, folder: &Path) -> Result<Option<Self>, OciError> {
        let Some(name) = &source.layout else {
            return Ok(None);
        };
        let path = match Url::parse(name) {
            Ok(url) => url.to_file_path().map_err(|()| OciError::Layout {
                layout: name.clone(),
                why: "it is no address of a file or folder".to_owned(),
            })?,
            Err(_) => folder.join(name),
        };
        let mut layout = Self {
            name: name.clone(),
            path,
            spans: None,
        };
        let meta = fs_err::metadata(&layout.path).map_err(|error| layout.wrong(&error))?;
        if !meta.is_dir() {
            layout.spans = Some(layout.headers().map_err(|error| layout.wrong(&error))?);
        }
        Ok(Some(layout))
    }

    /// What people call it: as the recipe names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn wrong(&self, why: &impl ToString) -> OciError {
        OciError::Layout {
            layout: self.name.clone(),
            why: why.to_string(),
        }
    }

    fn headers(&self) -> io::Result<BTreeMap<String, (u64, u64)>> {
        let mut spans = BTreeMap::new();
        let mut archive = tar::Archive::new(open_regular(&self.path)?);
        for (count, entry) in archive.entries_with_seek()?.enumerate() {
            let entry = entry?;
            if count >= MAX_MEMBERS {
                return Err(io::Error::other(format!(
                    "it has more than {MAX_MEMBERS} members"
                )));
            }
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let Ok(path) = String::from_utf8(entry.path_bytes().into_owned()) else {
                continue;
            };
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            // Of two files of one name, the first counts: blobs are known by hash anyway.
            let span = (entry.raw_file_position(), entry.size());
            spans.entry(path).or_insert(span);
        }
        Ok(spans)
    }

    /// Opens one of its files, which are at most as large as the size that is returned.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read>> {
        let Some(spans) = &self.spans else {
            return Ok(Box::new(open_regular(&self.path.join(path))?));
        };
        let (offset, size) = spans.get(path).ok_or(io::ErrorKind::NotFound)?;
        let mut file = open_regular(&self.path)?;
        file.seek(SeekFrom::Start(*offset))?;
        Ok(Box::new(file.take(*size)))
    }

    fn document(&self, path: &str) -> Result<Vec<u8>, OciError> {
        let read = || match &self.spans {
            None => read_bounded(&self.path.join(path), MAX_DOCUMENT),
            Some(_) => {
                let mut bytes = Vec::new();
                let mut file = self.open(path)?.take(MAX_DOCUMENT + 1);
                file.read_to_end(&mut bytes)?;
                Ok(bytes)
            }
        };
        read().map_err(|error| self.wrong(&format!("{path} cannot be read: {error}")))
    }

    /// The images that it has at its top.
    ///
    /// # Errors
    /// [`OciError::Layout`] where it is none, [`OciError::Document`] where its index is
    /// none.
    pub fn index(&self) -> Result<Vec<Descriptor>, OciError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Marker {
            image_layout_version: String,
        }
        let wrong = |what: &str, why| OciError::Document {
            what: format!("{what} in {}", self.name),
            why,
        };
        let marker = self.document("oci-layout")?;
        let marker: Marker = document::json(&marker).map_err(|why| wrong("oci-layout", why))?;
        if marker.image_layout_version != "1.0.0" {
            let why = "it is not of version 1.0.0 of the format".to_owned();
            return Err(wrong("oci-layout", why));
        }
        match Document::parse(&self.document("index.json")?) {
            Ok(Document::Index(index)) => Ok(index),
            Ok(Document::Manifest(_)) => Err(wrong("index.json", "it is no index".to_owned())),
            Err(why) => Err(wrong("index.json", why)),
        }
    }

    /// Copies what has this digest into the store; an answer says why it is not taken: it
    /// is not there, or is something else.
    ///
    /// # Errors
    /// [`CacheError`] where the cache fails.
    pub fn take(
        &self,
        digest: &Digest,
        blobs: &BlobStore,
    ) -> Result<Result<(), Answer>, CacheError> {
        let path = format!("blobs/sha256/{}", digest.sha256.hex());
        let file = match self.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(Answer::NotThere));
            }
            Err(error) => return Ok(Err(Answer::Unusable(error.to_string()))),
        };
        let mut writer = blobs.writer()?;
        // One byte more tells what is longer from what is not.
        let mut file = file.take(digest.size.saturating_add(1));
        io::copy(&mut file, &mut writer)
            .map_err(CacheError::io("copy a file of a layout into the cache"))?;
        if writer.written() != digest.size {
            return Ok(Err(Answer::WrongSize {
                actual: writer.written(),
                expected: digest.size,
            }));
        }
        let actual = writer.commit()?;
        Ok(match actual == *digest {
            true => Ok(()),
            false => Err(Answer::WrongBytes(actual)),
        })
    }
}
