//! Passwords that are not in the URL: in the variable `PGPASSWORD` or in a password file, as libpq finds them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where sockets of a server on this machine are by default. In a password file their host is `localhost`.
const SOCKET_FOLDERS: [&str; 3] = ["/tmp", "/run/postgresql", "/var/run/postgresql"];

/// The passwords of this process.
pub(crate) struct Passwords {
    /// The value of `PGPASSWORD`.
    variable: Option<String>,
    entries: Vec<Entry>,
}

/// A line of a password file; `None` matches anything.
struct Entry {
    /// Host, port, database and user.
    of: [Option<String>; 4],
    password: String,
}

impl Passwords {
    /// Reads the password file that `named` says, or else the variable `PGPASSFILE`, or else `~/.pgpass`. A file that
    /// cannot be used is ignored, and the log says why.
    pub(crate) fn of_process(named: Option<&Path>) -> Self {
        Self::read(named, |name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn read(named: Option<&Path>, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let by_default = || Some(PathBuf::from(variable("HOME")?).join(".pgpass"));
        let chosen = named.map(Path::to_owned).or_else(|| variable("PGPASSFILE").map(Into::into));
        let is_chosen = chosen.is_some();
        let entries = match chosen.or_else(by_default) {
            Some(file) => read_file(&file, is_chosen).unwrap_or_else(|reason| {
                tracing::warn!(file = %file.display(), "the password file is ignored: {reason}");
                Vec::new()
            }),
            None => Vec::new(),
        };
        let variable = variable("PGPASSWORD").and_then(|password| password.into_string().ok());
        Self { variable, entries }
    }

    /// The password for a host, port, database and user.
    pub(crate) fn find(&self, host: &str, port: u16, database: &str, user: &str) -> Option<&str> {
        if let Some(password) = &self.variable {
            return Some(password);
        }
        let port = port.to_string();
        let hosts =
            if SOCKET_FOLDERS.contains(&host) { vec!["localhost", host] } else { vec![host] };
        let is_of = |entry: &&Entry| {
            let [of_host, rest @ ..] = &entry.of;
            let is_same =
                |of: &Option<String>, value: &str| of.as_ref().is_none_or(|of| of == value);
            hosts.iter().any(|host| is_same(of_host, host))
                && rest.iter().zip([&*port, database, user]).all(|(of, value)| is_same(of, value))
        };
        self.entries.iter().find(is_of).map(|entry| &*entry.password)
    }
}

/// Reads a password file. Without one by default there is nothing to say.
fn read_file(file: &Path, is_chosen: bool) -> Result<Vec<Entry>, &'static str> {
    let Ok(there) = fs::metadata(file) else {
        return if is_chosen { Err("it cannot be read") } else { Ok(Vec::new()) };
    };
    if !there.is_file() {
        return Err("it is not a regular file");
    }
    if there.mode() & 0o077 != 0 {
        return Err("other users of this machine may use it; run chmod 600 on it");
    }
    let content = fs::read_to_string(file).map_err(|_| "it cannot be read, or is not UTF-8")?;
    Ok(content.lines().filter_map(entry).collect())
}

/// A line `HOST:PORT:DATABASE:USER:PASSWORD`, in which `\:` and `\\` stand for `:` and `\`. `None` for a comment, and
/// for a line that has fewer fields.
fn entry(line: &str) -> Option<Entry> {
    if line.starts_with('#') {
        return None;
    }
    let mut fields = vec![Field::default()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        // What follows the fourth colon is the password, which libpq ends at a fifth one.
        if c == ':' && fields.len() == 5 {
            break;
        }
        if c == ':' {
            fields.push(Field::default());
            continue;
        }
        let field = fields.last_mut()?;
        let escaped = (c == '\\').then(|| chars.next()).flatten();
        field.has_escape |= escaped.is_some();
        field.text.push(escaped.unwrap_or(c));
    }
    let [host, port, database, user, password] = <[Field; 5]>::try_from(fields).ok()?;
    let of = [host, port, database, user].map(Field::unless_any);
    Some(Entry { of, password: password.text })
}

#[derive(Default)]
struct Field {
    text: String,
    has_escape: bool,
}

impl Field {
    /// What it matches; `None` for an asterisk, which matches anything.
    fn unless_any(self) -> Option<String> {
        let is_any = self.text == "*" && !self.has_escape;
        (!is_any).then_some(self.text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const FILE: &str = "# a comment:5432:d:u:no\n\
        too:few:fields\n\
        one:5432:d:u:first\n\
        one:*:d:u:other port\n\
        localhost:5432:*:u:socket\n\
        a\\:b:5432:d:u:esc\\:a\\\\ped\n\
        *:*:*:*:anyone\n";

    /// A password file with this mode, in a home folder.
    fn home(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().expect("a folder");
        let file = home.path().join(".pgpass");
        fs::write(&file, content).expect("a file");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
        (home, file)
    }

    fn found(passwords: &Passwords, host: &str, port: u16, database: &str) -> Option<String> {
        passwords.find(host, port, database, "u").map(str::to_owned)
    }

    #[test]
    fn the_first_line_that_fits_counts_as_with_libpq() {
        let (_home, file) = home(FILE, 0o600);
        let passwords = Passwords::read(Some(&file), |_| None);
        for (host, port, database, expected) in [
            ("one", 5432, "d", "first"),
            ("one", 5433, "d", "other port"),
            ("/var/run/postgresql", 5432, "x", "socket"),
            ("a:b", 5432, "d", "esc:a\\ped"),
            ("elsewhere", 1, "x", "anyone"),
        ] {
            assert_eq!(
                found(&passwords, host, port, database).as_deref(),
                Some(expected),
                "{host}"
            );
        }
        assert_eq!(passwords.find("one", 5432, "d", "v"), Some("anyone"));
    }

    #[test]
    fn the_variable_comes_before_the_file_and_the_named_file_before_the_default() {
        let (home, file) = home("*:*:*:*:of home\n", 0o600);
        let other = home.path().join("other");
        fs::write(&other, "*:*:*:*:of other\n").expect("a file");
        fs::set_permissions(&other, fs::Permissions::from_mode(0o600)).expect("its mode");
        let variable = |names: &'static [&'static str]| {
            let (home, other) = (home.path().to_owned(), other.clone());
            move |name: &str| {
                let value = match name {
                    "HOME" => home.as_os_str().to_owned(),
                    "PGPASSFILE" => other.as_os_str().to_owned(),
                    _ => "of variable".into(),
                };
                names.contains(&name).then_some(value)
            }
        };
        let found = |named: Option<&Path>, names| {
            found(&Passwords::read(named, variable(names)), "h", 1, "d")
        };
        assert_eq!(found(None, &["HOME"]).as_deref(), Some("of home"));
        assert_eq!(found(None, &["HOME", "PGPASSFILE"]).as_deref(), Some("of other"));
        assert_eq!(found(Some(&file), &["PGPASSFILE"]).as_deref(), Some("of home"));
        assert_eq!(found(None, &["HOME", "PGPASSWORD"]).as_deref(), Some("of variable"));
        assert_eq!(found(None, &[]), None);
    }

    #[test]
    fn a_file_that_others_may_use_and_one_that_is_none_are_ignored() {
        for mode in [0o640, 0o604, 0o620, 0o660] {
            let (_home, file) = home(FILE, mode);
            assert!(Passwords::read(Some(&file), |_| None).entries.is_empty(), "{mode:o}");
            assert!(read_file(&file, true).is_err_and(|reason| reason.contains("chmod 600")));
        }
        let (home, file) = home(FILE, 0o400);
        assert_eq!(Passwords::read(Some(&file), |_| None).entries.len(), 5);
        assert!(read_file(home.path(), true).is_err());
        assert!(read_file(&home.path().join("none"), true).is_err());
        assert!(
            read_file(&home.path().join("none"), false).is_ok_and(|entries| entries.is_empty())
        );
    }
}
