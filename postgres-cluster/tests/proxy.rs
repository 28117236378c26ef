//! A proxy in front of a server that sends back each line it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use postgres_cluster::Proxy;

fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let lines = BufReader::new(stream.try_clone().expect("the same")).lines();
                for line in lines.map_while(Result::ok) {
                    if writeln!(stream, "{line}").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream
}

/// Returns the answer, or nothing if the connection ends.
fn ask(mut stream: &TcpStream, line: &str) -> String {
    let _ = writeln!(stream, "{line}");
    let mut answer = String::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) && byte != *b"\n" {
        answer.push(char::from(byte[0]));
    }
    answer
}

#[test]
fn it_passes_on_both_ways_to_the_last_byte() {
    let proxy = Proxy::to(echo()).unwrap();
    let mut stream = connect(&proxy);
    let mut sending = stream.try_clone().expect("the same");
    let long = "x".repeat(3_000_000);
    let sent = format!("{long}\nend\n");
    let bytes = sent.clone();
    let thread = std::thread::spawn(move || {
        sending.write_all(bytes.as_bytes()).expect("it is sent");
        sending.shutdown(std::net::Shutdown::Write).expect("the end");
    });
    let mut back = String::new();
    stream.read_to_string(&mut back).expect("all of it");
    thread.join().expect("it is sent");
    assert!(back == sent);
}

#[test]
fn cut_it_closes_connections_old_and_new_until_it_is_mended() {
    let proxy = Proxy::to(echo()).unwrap();
    let (first, second) = (connect(&proxy), connect(&proxy));
    assert_eq!((ask(&first, "a"), ask(&second, "b")), ("a".to_owned(), "b".to_owned()));
    proxy.cut();
    for stream in [&first, &second, &connect(&proxy)] {
        assert_eq!(ask(stream, "c"), "");
    }
    proxy.mend();
    assert_eq!(ask(&first, "d"), "", "what was cut stays cut");
    assert_eq!(ask(&connect(&proxy), "e"), "e");
}

#[test]
fn stalled_it_holds_back_what_it_passes_on_once_mended() {
    let proxy = Proxy::to(echo()).unwrap();
    let old = connect(&proxy);
    assert_eq!(ask(&old, "a"), "a");
    proxy.stall();
    for stream in [old, connect(&proxy)] {
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        assert_eq!(ask(&stream, "b"), "");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        proxy.mend();
        let mut answer = [0; 2];
        (&stream).read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"b\n");
        proxy.stall();
    }
    // After a cut, nothing of what was held back arrives.
    proxy.mend();
    let late = connect(&proxy);
    assert_eq!(ask(&late, "a"), "a");
    proxy.stall();
    (&late).write_all(b"c\n").expect("it is sent");
    proxy.cut();
    proxy.mend();
    assert_eq!(ask(&late, "d"), "");
}

#[test]
fn it_loses_a_request_or_an_answer_once() {
    let proxy = Proxy::to(echo()).unwrap();
    for lose in [Proxy::lose_request, Proxy::lose_answer] {
        let (other, stream) = (connect(&proxy), connect(&proxy));
        lose(&proxy, b"needle");
        assert_eq!(ask(&other, "need"), "need");
        assert!(!proxy.has_lost());
        // The bytes can come in pieces.
        assert_eq!(ask(&stream, "hay"), "hay");
        (&stream).write_all(b"a nee").expect("it is sent");
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(ask(&stream, "dle"), "");
        assert!(proxy.has_lost());
        assert_eq!(ask(&other, "needle"), "needle", "only once, and only that connection");
    }
}

#[test]
fn dropped_it_takes_nobody_any_more() {
    let proxy = Proxy::to(echo()).unwrap();
    let stream = connect(&proxy);
    let address = proxy.address();
    assert_eq!(ask(&stream, "a"), "a");
    drop(proxy);
    assert_eq!(ask(&stream, "b"), "");
    for _ in 0..100 {
        if TcpStream::connect(address).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it still listens");
}

#[test]
fn without_a_server_a_connection_ends() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let proxy = Proxy::to(gone.expect("an address")).unwrap();
    assert_eq!(ask(&connect(&proxy), "a"), "");
}

#[test]
fn an_url_leads_through_it() {
    let server = echo();
    let proxy = Proxy::to(server).unwrap();
    let url = proxy.url(&format!("postgres://postgres@{server}/test"));
    assert_eq!(url, format!("postgres://postgres@{}/test", proxy.address()));
}
