//! The user that PostgreSQL runs as. It refuses root, and tests often run as root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::error::Error;

/// A user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Own,
    Other { user: u32, group: u32 },
}

impl Account {
    /// Returns the current user. If that is root, returns `postgres`, or `nobody` if there is no `postgres`.
    pub(crate) fn unprivileged() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let users =
            std::fs::read_to_string("/etc/passwd").map_err(Error::system("read /etc/passwd"))?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(name, &users))
            .ok_or(Error::NoAccount)
    }

    fn named(name: &str, users: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.strip_prefix(name)?.strip_prefix(':')?.split(':').skip(1);
            let user = fields.next()?.parse().ok()?;
            Some(Self::Other { user, group: fields.next()?.parse().ok()? })
        })
    }

    /// Makes this user the owner of a folder, and lets it reach the folder.
    pub(crate) fn take(self, folder: &Path) -> std::io::Result<()> {
        let Self::Other { user, group } = self else { return Ok(()) };
        chown(folder, Some(user), Some(group))?;
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))
    }

    /// Returns a command that runs as this user in `folder`, without the environment variables of PostgreSQL.
    pub(crate) fn command(self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { user, group } = self {
            command.uid(user).gid(group);
        }
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        // Tests search logs for messages, which must not be in another language.
        command.env("LC_ALL", "C").env("TZ", "UTC").current_dir(folder);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\npostgresql:x:7:8::/:/bin/sh\n\
                     postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        let expected = Account::Other { user: 101, group: 104 };
        assert_eq!(Account::named("postgres", users), Some(expected));
        assert_eq!(Account::named("nobody", users), None);
    }
}
