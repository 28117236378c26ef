//! What is said about a PostgreSQL server that lets nobody in, and where the password for it comes from.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread::JoinHandle;

use crate::sandbox::{RunResult, Sandbox};

/// Starts a server that talks to one client, and returns what `talk` returns.
fn server<T: Send + 'static>(
    talk: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let talking = std::thread::spawn(move || talk(listener.accept().expect("a client").0));
    (address, talking)
}

/// Reads one message after its type, which the first message of a client does not have.
fn body(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).expect("a length");
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body).expect("a message");
    body
}

/// Asks for a password in clear text, and refuses it. Returns the password.
fn refuse_password(mut stream: TcpStream) -> Option<String> {
    body(&mut stream);
    stream.write_all(b"R\0\0\0\x08\0\0\0\x03").expect("a request for a password");
    let mut kind = [0];
    if stream.read(&mut kind).is_ok_and(|read| read == 0) {
        return None;
    }
    let password = body(&mut stream);
    let refusal = b"SFATAL\0VFATAL\0C28P01\0MPW is wrong for user anna\0\0";
    stream.write_all(b"E").expect("is sent");
    let length = u32::try_from(refusal.len() + 4).expect("a short message");
    stream.write_all(&length.to_be_bytes()).expect("is sent");
    stream.write_all(refusal).expect("is sent");
    Some(String::from_utf8(password).expect("UTF-8").trim_end_matches('\0').to_owned())
}

/// Runs the program with only these variables of PostgreSQL.
fn run(sandbox: &Sandbox, store: &str, variables: &[(&str, &str)]) -> RunResult {
    let mut program = sandbox.program(&["--store", store, "stats"]);
    program.env("HOME", sandbox.path()).env_remove("PGPASSWORD").env_remove("PGPASSFILE");
    program.envs(variables.iter().copied()).output().expect("runs").into()
}

fn password_file(sandbox: &Sandbox, name: &str, line: &str, mode: u32) {
    sandbox.write(name, line);
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(sandbox.path().join(name), mode).expect("a mode");
}

#[test]
fn a_password_comes_from_the_url_the_variable_or_a_password_file() {
    let sandbox = Sandbox::new();
    password_file(&sandbox, ".pgpass", "127.0.0.1:*:d:anna:of home\n", 0o600);
    password_file(&sandbox, "named", "*:*:*:*:of file\n", 0o600);
    let named = sandbox.path().join("named").display().to_string();
    let in_url = format!("?passfile={named}");
    for (password, parameters, variables, expected) in [
        ("", "", &[][..], "of home"),
        ("", "", &[("PGPASSFILE", &*named)], "of file"),
        ("", in_url.as_str(), &[], "of file"),
        ("", "", &[("PGPASSWORD", "of variable"), ("PGPASSFILE", &*named)], "of variable"),
        (":of-url", "", &[("PGPASSWORD", "of variable")], "of-url"),
    ] {
        let (address, talking) = server(refuse_password);
        let store = format!("postgres://anna{password}@{address}/d{parameters}");
        let ran = run(&sandbox, &store, variables);
        assert_eq!(talking.join().expect("a talk").as_deref(), Some(expected), "{ran:?}");
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains("PostgreSQL refuses the user or the password"), "{ran:?}");
        assert!(!ran.err.contains("PW") && !ran.err.contains("of "), "{ran:?}");
    }
}

#[test]
fn a_password_file_that_others_may_read_is_ignored_aloud() {
    let sandbox = Sandbox::new();
    password_file(&sandbox, ".pgpass", "*:*:*:*:secret\n", 0o640);
    let (address, talking) = server(refuse_password);
    let ran = run(&sandbox, &format!("postgres://anna@{address}/d"), &[]);
    assert_eq!(talking.join().expect("a talk"), None, "no password was sent");
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("asks for a password") && ran.err.contains("chmod 600"), "{ran:?}");
    assert!(!ran.err.contains("secret"), "{ran:?}");
}

#[test]
fn a_failure_of_tls_is_called_one_and_says_why() {
    let sandbox = Sandbox::new();
    for (answer, reason) in [
        (&b"N"[..], "TLS with PostgreSQL failed: server does not support TLS"),
        (b"SHTTP/1.1 400 Bad Request\r\n\r\n", "TLS with PostgreSQL failed: "),
    ] {
        let (address, talking) = server(move |mut stream| {
            body(&mut stream);
            stream.write_all(answer).expect("an answer");
            // Until the client hangs up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let store = format!("postgres://anna:PW@{address}/d?sslmode=require");
        let ran = run(&sandbox, &store, &[]);
        talking.join().expect("a talk");
        assert_eq!(ran.code, Some(1));
        assert!(ran.err.contains(reason) && !ran.err.contains("PW"), "{ran:?}");
    }
}
