//! Closed-loop load on one thread, gRPC or (`--http 1`) JSON over HTTP/1.1 with one connection a caller: `--c` callers over `--conns` connections, each sends its next request when its answer has come.
//! `--payload FILE` holds many bodies, each behind its length (u32, little endian); callers cycle through them from their own offsets,
//! because one repeated row flatters caches and branch prediction. Answers must equal the request (echo) when `--echo 1`. With
//! `--timeout MS` each call carries a deadline, and with `--ca FILE` (PEM) connections are TLS to a server whose certificate it signed.
//! One tab-separated line a run: requests/s, p50 ms, p99 ms, errors, server CPU us a request, server RSS MiB, own CPU us a request. The server is
//! the process `--pid` with all that it started.
use bytes::Bytes;
use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc, time::*};
use tokio::{io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt}, net::TcpStream};
use tokio_rustls::{rustls::{pki_types::{pem::PemObject, CertificateDer, ServerName}, ClientConfig, RootCertStore}, TlsConnector};

struct State {
    latencies_us: Vec<u32>,
    errors: u64,
    measuring: bool,
    stopping: bool,
}

fn arg(name: &str, default: &str) -> String {
    let all: Vec<String> = std::env::args().collect();
    all.iter().position(|a| a == &format!("--{name}")).and_then(|i| all.get(i + 1).cloned()).unwrap_or(default.into())
}

fn number(name: &str, default: &str) -> f64 {
    arg(name, default).parse().expect("a number")
}

/// Parent, CPU seconds and RSS MiB of a process, from /proc.
fn process(pid: i32) -> Option<(i32, f64, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<u64> = text[text.rfind(')')? + 2..].split(' ').map(|f| f.trim().parse().unwrap_or(0)).collect();
    Some((fields[1] as i32, (fields[11] + fields[12]) as f64 / 100.0, fields[21] as f64 * 4096.0 / 1048576.0))
}

/// CPU seconds and RSS MiB of a process and of all that it started and is still there.
fn usage(root: i32) -> (f64, f64) {
    let names = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: HashMap<i32, (i32, f64, f64)> = names.filter_map(|pid| Some((pid, process(pid)?))).collect();
    let is_inside = |mut pid: i32| loop {
        match all.get(&pid) {
            _ if pid == root => return true,
            Some((parent, ..)) if *parent > 1 => pid = *parent,
            _ => return false,
        }
    };
    all.iter().filter(|(pid, _)| is_inside(**pid)).fold((0.0, 0.0), |(cpu, rss), (_, one)| (cpu + one.1, rss + one.2))
}

/// One exchange over HTTP/1.1. None = anything but 200 with a body of a known length.
async fn exchange(socket: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Option<()> {
    socket.write_all(request).await.ok()?;
    answer.clear();
    let (mut head, mut length) = (0, 0);
    while head == 0 || answer.len() < head + length {
        if socket.read_buf(answer).await.ok()? == 0 {
            return None;
        }
        if head == 0 {
            let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
            length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
            head = end + 4;
        }
    }
    answer.starts_with(b"HTTP/1.1 200").then_some(())
}

async fn call(sender: &mut h2::client::SendRequest<Bytes>, uri: &str, frame: &Bytes, echo: bool, timeout: &str) -> Option<()> {
    let mut request = http::Request::post(uri).header("content-type", "application/grpc").header("te", "trailers");
    if !timeout.is_empty() {
        request = request.header("grpc-timeout", timeout);
    }
    let request = request.body(()).ok()?;
    let mut sender = sender.clone().ready().await.ok()?;
    let (response, mut stream) = sender.send_request(request, false).ok()?;
    stream.send_data(frame.clone(), true).ok()?;
    let mut body = response.await.ok()?.into_body();
    let mut answer = vec![];
    while let Some(data) = body.data().await {
        let data = data.ok()?;
        answer.extend_from_slice(&data);
        let _ = body.flow_control().release_capacity(data.len());
    }
    let trailers = body.trailers().await.ok()??;
    (trailers.get("grpc-status")?.as_bytes() == b"0" && (!echo || answer[..] == frame[..])).then_some(())
}

async fn open<S: AsyncRead + AsyncWrite + Unpin + 'static>(socket: S) -> h2::client::SendRequest<Bytes> {
    let (sender, connection) = h2::client::Builder::new().initial_window_size(1 << 20).initial_connection_window_size(1 << 24).enable_push(false).handshake::<_, Bytes>(socket).await.expect("handshake");
    tokio::task::spawn_local(async move { let _ = connection.await; });
    sender
}

fn tls(ca: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("--ca FILE") {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let file = std::fs::read(arg("payload", "")).expect("--payload FILE");
    let (address, path, http1) = (arg("addr", ""), arg("path", "/bench.Echo/Call"), arg("http", "0") == "1");
    let mut frames = vec![];
    let mut at = 0;
    while at < file.len() {
        let length = u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
        let mut frame = vec![];
        if http1 {
            frame.extend(format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n").bytes());
        } else {
            frame.push(0);
            frame.extend((length as u32).to_be_bytes());
        }
        frame.extend(&file[at + 4..at + 4 + length]);
        frames.push(Bytes::from(frame));
        at += 4 + length;
    }
    let frames = Rc::new(frames);
    let (callers, connections) = (number("c", "16") as usize, number("conns", "1") as usize);
    let (warm, seconds, runs, pid) = (number("warm", "1"), number("dur", "2"), number("runs", "3") as usize, number("pid", "0") as i32);
    let echo = arg("echo", "0") == "1";
    let timeout = match arg("timeout", "") { t if t.is_empty() => t, t => format!("{t}m") };
    let (scheme, tls) = match arg("ca", "") { ca if ca.is_empty() => ("http", None), ca => ("https", Some(tls(&ca))) };
    let state = Rc::new(RefCell::new(State { latencies_us: vec![], errors: 0, measuring: false, stopping: false }));
    tokio::task::LocalSet::new().run_until(async move {
        let mut senders = vec![];
        for _ in 0..(if http1 { 0 } else { connections }) {
            let socket = TcpStream::connect(&address).await.expect("connect");
            socket.set_nodelay(true).ok();
            senders.push(match &tls {
                None => open(socket).await,
                Some(tls) => {
                    let host = address.rsplit_once(':').expect("host:port").0.to_owned();
                    open(tls.connect(ServerName::try_from(host).expect("a host"), socket).await.expect("TLS handshake")).await
                }
            });
        }
        for i in 0..callers {
            let sender = (!http1).then(|| senders[i % senders.len()].clone());
            let (uri, address, frames, state, timeout) = (format!("{scheme}://{address}{path}"), address.clone(), frames.clone(), state.clone(), timeout.clone());
            tokio::task::spawn_local(async move {
                let (mut sender, mut socket, mut bytes) = (sender, None, vec![]);
                let mut k = i * 37;
                loop {
                    k += 1;
                    let started = Instant::now();
                    let frame = &frames[k % frames.len()];
                    let answer = match &mut sender {
                        Some(sender) => call(sender, &uri, frame, echo, &timeout).await,
                        None => {
                            if socket.is_none() {
                                socket = TcpStream::connect(&address).await.ok();
                                socket.as_ref().map(|s| s.set_nodelay(true));
                            }
                            let done = match &mut socket {
                                Some(open) => exchange(open, frame, &mut bytes).await,
                                None => None,
                            };
                            if done.is_none() {
                                socket = None;
                            }
                            done
                        }
                    };
                    let mut state = state.borrow_mut();
                    if state.stopping { return; }
                    if state.measuring { if answer.is_some() { state.latencies_us.push(started.elapsed().as_micros() as u32) } else { state.errors += 1 } }
                    drop(state);
                    if answer.is_none() { tokio::time::sleep(Duration::from_millis(1)).await; }
                }
            });
        }
        let own = std::process::id() as i32;
        tokio::time::sleep(Duration::from_secs_f64(warm)).await;
        for _ in 0..runs {
            { let mut s = state.borrow_mut(); s.latencies_us.clear(); s.errors = 0; s.measuring = true; }
            let (server_before, own_before, started) = (usage(pid).0, usage(own).0, Instant::now());
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            let elapsed = started.elapsed().as_secs_f64();
            let mut s = state.borrow_mut();
            s.measuring = false;
            let mut latencies = std::mem::take(&mut s.latencies_us);
            let errors = s.errors;
            drop(s);
            let (server_after, rss) = usage(pid);
            let own_after = usage(own).0;
            latencies.sort_unstable();
            let quantile = |p: f64| latencies.get(((latencies.len() as f64 * p) as usize).min(latencies.len().saturating_sub(1))).copied().unwrap_or(0) as f64 / 1e3;
            let per = 1e6 / latencies.len().max(1) as f64;
            println!("{:.0}\t{:.3}\t{:.3}\t{errors}\t{:.2}\t{rss:.0}\t{:.2}", latencies.len() as f64 / elapsed, quantile(0.5), quantile(0.99), (server_after - server_before) * per, (own_after - own_before) * per);
        }
        state.borrow_mut().stopping = true;
        std::process::exit(0);
    }).await;
}
