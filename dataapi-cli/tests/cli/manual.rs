//! The manual and the completions have every command.

use crate::sandbox::Sandbox;

const COMMANDS: [&str; 22] = [
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
    "doctor",
    "key",
    "migrate",
    "copy",
    "generate",
    "completions",
    "man",
];

#[test]
fn the_manual_has_every_command_and_the_exit_codes() {
    let sandbox = Sandbox::new();
    let page = sandbox.ok(&["man"]);
    assert!(page.contains(".TH") && page.contains("Exit codes"), "{page}");
    for command in COMMANDS {
        let name = command.replace('-', "\\-");
        assert!(page.contains(&format!("dataapi\\-{name}(1)")), "{command}: {page}");
        assert!(sandbox.ok(&["man", command]).contains(".SH SYNOPSIS"));
        assert!(sandbox.ok(&[command, "--help"]).contains("Usage:"));
    }
    assert!(sandbox.ok(&["man", "consent", "grant"]).contains("notice"));
    assert!(sandbox.ok(&["--help"]).contains("Exit codes"));
    assert!(sandbox.ok(&["--version"]).starts_with("dataapi "));
}

#[test]
fn every_shell_gets_its_completions() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = sandbox.ok(&["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} lacks {command}");
        }
    }
    assert_eq!(sandbox.files(), Vec::<String>::new());
}
