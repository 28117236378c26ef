//! Shows what somebody typed without the passwords and keys that may be in it.

/// Replaces the parts of a URL that could contain a password.
pub(crate) const REDACTED: &str = "[redacted]";

/// A URL without its password and its parameters. If it is unclear which part is the password, everything after the
/// scheme is hidden.
pub(crate) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return REDACTED.to_owned() };
    let (base, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    match base.rsplit_once('@') {
        // The question mark could be part of the password.
        _ if parameters.contains('@') => format!("{scheme}://{REDACTED}"),
        Some((credentials, place)) => {
            let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
            format!("{scheme}://{user}@{place}")
        }
        None if has_hosts_alone(base) => format!("{scheme}://{base}"),
        None => format!("{scheme}://{REDACTED}"),
    }
}

/// Whether everything after a colon is a port, rather than the password in a URL that lacks its host.
fn has_hosts_alone(base: &str) -> bool {
    let hosts = base.split_once('/').map_or(base, |(hosts, _)| hosts);
    hosts.split(',').all(|host| {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        host.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A value that somebody typed in a form that is safe to show, whatever it was meant to be: without the user and the
/// password of a URL, and hidden where a part of it could be a password or a key. Use it where a message repeats a
/// value that was refused.
///
/// ```
/// assert_eq!(dataapi::redacted("127.0.0.1:80"), "127.0.0.1:80");
/// assert_eq!(dataapi::redacted("postgre://u:secret@db/d"), "postgre://[redacted]@db/d");
/// assert_eq!(dataapi::redacted("host=db password=secret"), "[redacted]");
/// ```
pub fn redacted(value: &str) -> String {
    let lower = value.to_ascii_lowercase();
    if lower.contains("://") {
        // More than one URL, or a URL in a list: which part belongs to which is unclear.
        let is_one = value.matches("://").count() == 1 && !value.contains([' ', ',']);
        return if is_one { without_user(value) } else { REDACTED.to_owned() };
    }
    let is_given =
        |name: &&str| lower.split(*name).skip(1).any(|after| after.trim_start().starts_with('='));
    let is_secret = NAMES_OF_SECRETS.iter().any(is_given)
        || lower.contains(KEY)
        || value.split_once('@').is_some_and(|(before, _)| before.contains(':'));
    if is_secret { REDACTED.to_owned() } else { value.to_owned() }
}

/// How a key of DataAPI begins.
const KEY: &str = "dataapi_";

/// A URL without its user, who can be a token, its password and its parameters.
fn without_user(url: &str) -> String {
    let shown = without_secrets(url);
    match shown.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?)))
    {
        Some((scheme, (_, place))) => format!("{scheme}://{REDACTED}@{place}"),
        None => shown,
    }
}

/// What stands before a password in the connection strings of PostgreSQL and others.
const NAMES_OF_SECRETS: [&str; 5] = ["password", "passwd", "pwd", "secret", "token"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_password_is_shown_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://u:secret@db:5432/d?sslmode=require", "postgres://u@db:5432/d"),
            ("postgres://u:sec@ret@db/d", "postgres://u@db/d"),
            ("postgres://u:sec/ret@db/d", "postgres://u@db/d"),
            ("postgres://u:sec?ret@db/d", "postgres://[redacted]"),
            ("postgres://u:s@e?c@ret@db/d", "postgres://[redacted]"),
            ("postgres://u:secret", "postgres://[redacted]"),
            ("postgres://u:secret/d", "postgres://[redacted]"),
            ("postgres:u:secret@db", "[redacted]"),
            ("postgres://[::1],one,two:5433/d?password=secret", "postgres://[::1],one,two:5433/d"),
            ("postgres:///d?host=/run", "postgres:///d"),
        ] {
            assert_eq!(without_secrets(url), shown, "{url}");
        }
    }

    #[test]
    fn a_value_is_shown_unless_it_could_hold_a_secret() {
        for shown in [
            "here",
            "127.0.0.1:0",
            "30",
            "https://console.example/",
            "[::1]:8080",
            "a@b",
            "/srv/secret/x.db",
        ] {
            assert_eq!(redacted(shown), shown);
        }
        for (typed, shown) in [
            ("http://u:PW@host/keys", "http://[redacted]@host/keys"),
            ("https://PW@host/keys", "https://[redacted]@host/keys"),
            ("Postgres://u:PW@h/d?x=PW", "Postgres://[redacted]@h/d"),
            ("u:PW@h/d", "[redacted]"),
            ("postgres:u:PW@h", "[redacted]"),
            ("postgres://a:PW@h/d,postgres://b:PW@h/d", "[redacted]"),
            ("host=h PASSWORD=PW", "[redacted]"),
            ("host=h password = 'PW'", "[redacted]"),
            ("dataapi_0123", "[redacted]"),
        ] {
            assert_eq!(redacted(typed), shown, "{typed}");
        }
    }
}
