//! Secrets from files: each secret can be given by itself, or by the name of a file with it.

use std::io;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

/// A file with a secret: the flag that names it, the flag's id, and the path.
type SecretFile<'p> = (&'static str, &'static str, Option<&'p Path>);

/// Why a secret cannot be read from its file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error(
        "{0} and the secret itself were both given, which contradict each other; give one of them"
    )]
    Both(&'static str),

    #[error("the secret in the file of {flag} cannot be read")]
    Unreadable {
        flag: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Reads the secret from its file, if the file was named and the secret itself was not: a flag comes before a variable,
/// and both by flag, or both by variable, contradict each other. `None` if the secret itself counts.
pub(crate) fn from_file(
    matches: &ArgMatches,
    secret: &str,
    (flag, file, path): SecretFile<'_>,
) -> Result<Option<String>, SecretError> {
    let source =
        |id| matches.value_source(id).filter(|source| *source != ValueSource::DefaultValue);
    let (direct, from) = (source(secret), source(file));
    let Some(path) = path.filter(|_| from >= direct) else { return Ok(None) };
    if from == direct {
        return Err(SecretError::Both(flag));
    }
    let read = dataapi::read_secret(path).map(Some);
    read.map_err(|source| SecretError::Unreadable { flag, source })
}
