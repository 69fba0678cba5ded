//! The h2 crate with a hand codec and batching: all requests that became ready in one turn of the scheduler go through one run.
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use serving_peers::{arg, decode, encode, Model, FEATURES};
use std::{cell::RefCell, rc::Rc};

type Respond = h2::server::SendResponse<Bytes>;

fn reply(mut respond: Respond, frame: Vec<u8>) {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    if let Ok(mut stream) = respond.send_response(head, false) {
        let _ = stream.send_data(frame.into(), false);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = stream.send_trailers(trailers);
    }
}

async fn body_of(mut body: h2::RecvStream) -> Bytes {
    let mut whole: Option<Bytes> = None;
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        whole = Some(match whole {
            None => data,
            Some(before) => [before, data].concat().into(),
        });
    }
    whole.unwrap_or_default()
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut model = Model::load(&arg("model", ""));
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let waiting: Rc<RefCell<Vec<(Bytes, Respond)>>> = Rc::default();
        let wake = Rc::new(tokio::sync::Notify::new());
        {
            let (waiting, wake) = (waiting.clone(), wake.clone());
            tokio::task::spawn_local(async move {
                let (mut values, mut scores, mut rows) = (Vec::<f32>::new(), Vec::new(), Vec::new());
                loop {
                    wake.notified().await;
                    tokio::task::yield_now().await;
                    let batch = std::mem::take(&mut *waiting.borrow_mut());
                    if batch.is_empty() {
                        continue;
                    }
                    values.clear();
                    rows.clear();
                    rows.extend(batch.iter().map(|(bytes, _)| decode(&bytes[5..], &mut values)));
                    model.predict(&values, values.len() / FEATURES, &mut scores);
                    let mut at = 0;
                    for ((_, respond), count) in batch.into_iter().zip(&rows) {
                        reply(respond, encode(&scores[at..at + count], "1"));
                        at += count
                    }
                }
            });
        }
        let listener = tokio::net::TcpListener::bind(arg("addr", "127.0.0.1:7002")).await.unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).ok();
            let (waiting, wake) = (waiting.clone(), wake.clone());
            tokio::task::spawn_local(async move {
                let mut builder = h2::server::Builder::new();
                builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 24);
                let Ok(mut connection) = builder.handshake::<_, Bytes>(socket).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let (waiting, wake) = (waiting.clone(), wake.clone());
                    tokio::task::spawn_local(async move {
                        let bytes = body_of(request.into_body()).await;
                        waiting.borrow_mut().push((bytes, respond));
                        wake.notify_one();
                    });
                }
            });
        }
    });
}
