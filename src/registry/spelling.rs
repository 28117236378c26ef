//! Recognises how other programs write the place of a store, and says how it is written here.

#[cfg(feature = "sqlite")]
use std::path::Path;

use crate::errors::OpenError;
use crate::redaction::redacted;

const POSTGRES: &str = "postgres://USER@HOST/DATABASE";
const SQLITE: &str = "sqlite:PATH";

/// Why no backend has this URL.
pub(super) fn of_url(url: &str) -> OpenError {
    let lower = url.to_ascii_lowercase();
    let (lower, url) = match lower.strip_prefix("jdbc:") {
        Some(rest) => (rest, &url["jdbc:".len()..]),
        None => (&*lower, url),
    };
    let (scheme, rest) = lower.split_once(':').unwrap_or_default();
    // SQLAlchemy's names of drivers.
    let family = scheme.split_once('+').map_or(scheme, |(family, _)| family);
    match family {
        "sqlite" | "sqlite3" | "file" => {
            let path = url.get(scheme.len() + 1..).unwrap_or_default();
            of_scheme(sqlite(without_slashes(path)))
        }
        "postgres" | "postgresql" | "postgre" | "psql" | "pgsql" | "pg" => {
            of_scheme(POSTGRES.to_owned())
        }
        // `:memory:` has nothing before its first colon.
        "memory" | "mem" => of_scheme("memory:".to_owned()),
        "" if rest.starts_with("memory:") => of_scheme("memory:".to_owned()),
        _ if !lower.contains("://") && (lower.contains("host=") || lower.contains("dbname=")) => {
            OpenError::Spelling {
                reason: "the store's URL is no list of parameters",
                right: POSTGRES.to_owned(),
            }
        }
        "" if is_path(lower) => OpenError::Spelling {
            reason: "the store's URL begins with the kind of the store",
            right: sqlite(url),
        },
        _ => OpenError::UnknownUrl,
    }
}

/// Why this path of a file is taken for a mistake: it is as another program would write it, and there is no file of
/// exactly that name. `None` for a path that is meant as it is written.
#[cfg(feature = "sqlite")]
pub(super) fn of_path(path: &str) -> Option<OpenError> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let spelling = |reason, right| Some(OpenError::Spelling { reason, right });
    if is_there(Path::new(path)) {
        return None;
    }
    if path.starts_with(":memory:") {
        return spelling(
            "':memory:' after 'sqlite:' would be a file of that name",
            "memory:".into(),
        );
    }
    let first = path.split_once(':').map_or("", |(first, _)| first);
    if path.contains("://") || (!first.contains('/') && SCHEMES.contains(&first)) {
        let right = match of_url(path) {
            OpenError::Spelling { right, .. } => right,
            _ if first.starts_with("postgres") => POSTGRES.to_owned(),
            _ => sqlite(path.split_once(':').map_or(path, |(_, rest)| without_slashes(rest))),
        };
        return spelling("the store's URL has two schemes", right);
    }
    // What is in the name of a folder or file that exists is meant like this.
    let is_new = |has: fn(&str) -> bool| {
        Path::new(path).ancestors().any(|part| {
            part.file_name().and_then(|name| name.to_str()).is_some_and(has) && !is_there(part)
        })
    };
    if is_new(|name| name.contains('?')) {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        return spelling("the URL of a store in a file has no parameters", sqlite(path));
    }
    if is_new(|name| decoded(name).is_some()) {
        let path = decoded(path).unwrap_or_default();
        return spelling("the path of a store is not percent-encoded", sqlite(&path));
    }
    None
}

/// Schemes that are no beginning of a path.
#[cfg(feature = "sqlite")]
const SCHEMES: [&str; 6] = ["file", "sqlite", "sqlite3", "jdbc", "postgres", "postgresql"];

fn of_scheme(right: String) -> OpenError {
    OpenError::Spelling { reason: "the store's URL has a scheme that is unknown here", right }
}

/// The URL of a file at `path`, if that is safe to show.
fn sqlite(path: &str) -> String {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let is_plain = !path.is_empty() && redacted(path) == path && !path.contains(['@', ':', '%']);
    if is_plain && !path.chars().any(char::is_control) {
        format!("sqlite:{path}")
    } else {
        SQLITE.to_owned()
    }
}

/// A path without the empty host of a URL in front.
fn without_slashes(path: &str) -> &str {
    path.strip_prefix("//").unwrap_or(path)
}

/// Whether somebody who wrote this without a scheme meant a file.
fn is_path(text: &str) -> bool {
    let ends = [".db", ".sqlite", ".sqlite3"];
    text.starts_with(['/', '.']) || ends.iter().any(|end| text.ends_with(end))
}

/// The text with its percent-encoded bytes decoded; `None` if there are none.
#[cfg(feature = "sqlite")]
fn decoded(text: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    (decoded != text).then(|| decoded.into_owned())
}

#[cfg(all(test, feature = "sqlite", feature = "postgres"))]
mod tests {
    use super::*;
    use crate::registry::backend_of;

    /// The right spelling of a URL that is refused.
    fn right(url: &str) -> String {
        let refused = match backend_of(url) {
            Ok(backend) => backend.files(url).err(),
            Err(refused) => Some(refused),
        };
        match refused {
            Some(OpenError::Spelling { right, .. }) => right,
            Some(other) => other.to_string(),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn what_another_program_would_write_is_answered_with_the_right_spelling() {
        for (written, expected) in [
            ("sqlite::memory:", "memory:"),
            ("sqlite://:memory:", "memory:"),
            (":memory:", "memory:"),
            ("memory://", "memory:"),
            ("sqlite:x.db?mode=rwc", "sqlite:x.db"),
            ("sqlite:///srv/x.db?cache=shared", "sqlite:/srv/x.db"),
            ("sqlite:a%20b.db", "sqlite:a b.db"),
            ("sqlite:my%20data/x.db", "sqlite:my data/x.db"),
            ("sqlite:file:x.db", "sqlite:x.db"),
            ("sqlite:file:///srv/x.db?mode=ro", "sqlite:/srv/x.db"),
            ("file:x.db", "sqlite:x.db"),
            ("sqlite3:x.db", "sqlite:x.db"),
            ("sqlite3:///srv/x.db", "sqlite:/srv/x.db"),
            ("SQLite:x.db", "sqlite:x.db"),
            ("jdbc:sqlite:x.db", "sqlite:x.db"),
            ("sqlite+aiosqlite:///x.db", "sqlite:/x.db"),
            ("dialogs.db", "sqlite:dialogs.db"),
            ("/srv/dialogs", "sqlite:/srv/dialogs"),
            ("POSTGRES://u@h/d", POSTGRES),
            ("postgre://u:PW@h/d", POSTGRES),
            ("postgresql+psycopg://u:PW@h/d", POSTGRES),
            ("jdbc:postgresql://h/d?user=u&password=PW", POSTGRES),
            ("postgres:u:PW@h", POSTGRES),
            ("host=h dbname=d password=PW", POSTGRES),
            ("sqlite:postgres://u:PW@h/d", POSTGRES),
            ("sqlite:sqlite:x.db", "sqlite:x.db"),
            ("./x@PW", "sqlite:PATH"),
        ] {
            assert_eq!(right(written), expected, "{written}");
        }
        assert!(matches!(backend_of("mysql://u:PW@h/d").err(), Some(OpenError::UnknownUrl)));
    }

    #[test]
    fn a_file_of_exactly_that_name_is_meant() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in [":memory:", "file:x.db", "x.db?mode=rwc", "a%20b.db"] {
            let path = folder.path().join(name);
            let path = path.to_str().expect("UTF-8");
            let there = format!("sqlite:{path}");
            let refused = right(&there);
            std::fs::write(path, "").expect("a file");
            assert_eq!(right(&there), "none", "{refused}");
        }
        let folder = folder.path().join("100%25");
        std::fs::create_dir(&folder).expect("a folder");
        let new = folder.join("new.db");
        assert!(of_path(new.to_str().expect("UTF-8")).is_none(), "the folder is there");
        assert!(of_path("./:memory:").is_none() && of_path("./file:x.db").is_none());
    }
}
