//! The manual and the completions know every command.

use crate::bench::Bench;

const COMMANDS: [&str; 11] = [
    "import",
    "export",
    "query",
    "get",
    "consent",
    "erase",
    "purge",
    "stats",
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
        assert!(page.contains(&format!("dataapi\\-{command}(1)")), "{command}: {page}");
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
