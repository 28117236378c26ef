//! The manual and the completions know every command.

use crate::bench::Bench;

const COMMANDS: [&str; 19] = [
    "import",
    "export",
    "sync",
    "query",
    "get",
    "consent",
    "erase",
    "subject",
    "purge",
    "stats",
    "verify-erasure",
    "backup",
    "restore",
    "audit",
    "check",
    "key",
    "generate",
    "completions",
    "man",
];

#[test]
fn the_manual_has_every_command_and_the_exit_codes() {
    let bench = Bench::new();
    let page = bench.ok(&["man"]);
    assert!(page.contains(".TH") && page.contains("Exit codes"), "{page}");
    for command in COMMANDS {
        let name = command.replace('-', "\\-");
        assert!(page.contains(&format!("dataapi\\-{name}(1)")), "{command}: {page}");
        assert!(bench.ok(&["man", command]).contains(".SH SYNOPSIS"));
        assert!(bench.ok(&[command, "--help"]).contains("Usage:"));
    }
    assert!(bench.ok(&["man", "consent", "grant"]).contains("notice"));
    assert!(bench.ok(&["--help"]).contains("Exit codes"));
    assert!(bench.ok(&["--version"]).starts_with("dataapi "));
}

#[test]
fn every_shell_gets_its_completions() {
    let bench = Bench::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = bench.ok(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
    assert_eq!(bench.files(), Vec::<String>::new());
}
