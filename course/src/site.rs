//! The built book as a web site: what a request for one of its files is answered with.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use http_body_util::Full;
use http_range::HttpRange;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::book;
use crate::failure::reason;

/// What a request is answered with.
pub(crate) type Answer = Response<Full<Bytes>>;

/// A folder whose files may be asked for.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The folder.
    root: PathBuf,
    /// What every page of it ends with.
    ending: &'static str,
}

impl Site {
    /// The files of `root`, with an `ending` on every page.
    pub(crate) fn new(root: PathBuf, ending: &'static str) -> Self {
        Site { root, ending }
    }

    /// Which version of the book this is.
    pub(crate) fn version(&self) -> String {
        book::made_from(&self.root).trim().to_owned()
    }

    /// What `request` is answered with: a file, or why there is none. hyper leaves the body out if
    /// only the head was asked for.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Answer {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return with(status(StatusCode::METHOD_NOT_ALLOWED), header::ALLOW, "GET, HEAD");
        }
        let path = request.uri().path();
        let answered = self.find(path).and_then(|found| match found.is_dir() {
            // Links on its page are relative to the folder, not to what the folder is in.
            true => Ok(moved(&format!("/{}/", path.trim_matches('/')))),
            false => File::read(&found, self.ending).map(|file| file.answer(request)),
        });
        answered.unwrap_or_else(|error| self.refusal(&error))
    }

    /// The file that `path` names, or the folder, if it is named as if it were a file.
    fn find(&self, path: &str) -> io::Result<PathBuf> {
        let path = percent_decode_str(path).decode_utf8().map_err(|_| ErrorKind::NotFound)?;
        let mut found = self.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            // Not upwards, nothing that is hidden, and no other system's idea of a path.
            if name.starts_with('.') || name.contains(['\\', ':', '\0']) {
                return Err(ErrorKind::NotFound.into());
            }
            found.push(name);
        }
        if path.ends_with('/') {
            found.push("index.html");
        }
        // A link in the folder may lead out of it.
        match found.canonicalize()?.starts_with(self.root.canonicalize()?) {
            true => Ok(found),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    /// The answer when a file cannot be read: there is none, it is not for us, or there is no more
    /// to be had from the system at the moment.
    fn refusal(&self, error: &io::Error) -> Answer {
        let (code, page) = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
                (StatusCode::NOT_FOUND, fs::read(self.root.join("404.html")).unwrap_or_default())
            }
            kind => {
                let code = match kind {
                    ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                (code, format!("<p>This page cannot be read: {}.</p>\n", reason(error)).into())
            }
        };
        let mut answer =
            with(Response::new(page.into()), header::CONTENT_TYPE, "text/html; charset=utf-8");
        *answer.status_mut() = code;
        answer
    }
}

/// A file that is there.
struct File {
    /// What is in it.
    bytes: Bytes,
    /// Its content type.
    kind: String,
    /// When it was written.
    written: SystemTime,
}

impl File {
    /// Reads a file. Pages get `ending`.
    fn read(path: &Path, ending: &str) -> io::Result<Self> {
        // The files are small, and in the system's memory; layer 17 is about those that are not.
        let mut bytes = fs::read(path)?;
        let kind = mime_guess::from_path(path).first_or_octet_stream();
        if kind == mime_guess::mime::TEXT_HTML {
            bytes.extend_from_slice(ending.as_bytes());
        }
        let is_text = kind.type_() == "text" || kind.subtype() == "javascript";
        let kind = if is_text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        let written = fs::metadata(path).and_then(|data| data.modified()).unwrap_or(UNIX_EPOCH);
        Ok(File { bytes: bytes.into(), kind, written })
    }

    /// The file, as much of it as is asked for, or word that it is still the same.
    fn answer<B>(self, request: &Request<B>) -> Answer {
        let (tag, date) = (self.tag(), httpdate::fmt_http_date(self.written));
        let wanted = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let known = match wanted(header::IF_NONE_MATCH) {
            Some(tags) => tags == "*" || tags.split(',').any(|known| known.trim() == tag),
            None => wanted(header::IF_MODIFIED_SINCE) == Some(&*date),
        };
        let range = wanted(header::RANGE)
            // Of what has changed since, a part is of no use.
            .filter(|_| wanted(header::IF_RANGE).is_none_or(|known| known == tag || known == date));
        let answer = match range {
            _ if known => status(StatusCode::NOT_MODIFIED),
            Some(range) => self.part(range),
            None => Response::new(self.bytes.clone().into()),
        };
        let answer = with(answer, header::CONTENT_TYPE, &self.kind);
        let answer = with(with(answer, header::ETAG, &tag), header::LAST_MODIFIED, &date);
        // The book may be built again at any time: keep it, and ask whether it is still the same.
        let answer = with(answer, header::CACHE_CONTROL, "no-cache");
        with(answer, header::ACCEPT_RANGES, "bytes")
    }

    /// What `range` asks for. Whoever asks for several parts at once gets all there is.
    fn part(&self, range: &str) -> Answer {
        let length = self.bytes.len();
        match HttpRange::parse(range, length as u64).as_deref() {
            Ok([part]) => {
                let (start, end) = (part.start as usize, (part.start + part.length) as usize);
                let mut answer = Response::new(self.bytes.slice(start..end).into());
                *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
                with(answer, header::CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1))
            }
            Err(http_range::HttpRangeParseError::NoOverlap) => {
                let answer = status(StatusCode::RANGE_NOT_SATISFIABLE);
                with(answer, header::CONTENT_RANGE, &format!("bytes */{length}"))
            }
            _ => Response::new(self.bytes.clone().into()),
        }
    }

    /// A name for this version of the file.
    fn tag(&self) -> String {
        let written = self.written.duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("\"{:x}-{:x}\"", self.bytes.len(), written.as_nanos())
    }
}

/// An answer that leads to `place`.
fn moved(place: &str) -> Answer {
    with(status(StatusCode::MOVED_PERMANENTLY), header::LOCATION, place)
}

/// An answer that says `code`, and no more.
pub(crate) fn status(code: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = code;
    answer
}

/// `answer`, with one more header.
fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    // What is no header is left out: a path with odd characters in it, say.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
