//! tonic and prost as their guides show them: one model behind a mutex, inference inline, one thread.
use serving_peers::{arg, Model};
use std::sync::Mutex;
use tonic::{transport::Server, Request, Response, Status};

mod pb {
    tonic::include_proto!("bench");
}
use pb::predictor_server::{Predictor, PredictorServer};

struct Service(Mutex<Model>);

#[tonic::async_trait]
impl Predictor for Service {
    async fn predict(&self, request: Request<pb::PredictRequest>) -> Result<Response<pb::PredictResponse>, Status> {
        let request = request.into_inner();
        let mut scores = Vec::new();
        self.0.lock().unwrap().predict(&request.features, request.rows as usize, &mut scores);
        Ok(Response::new(pb::PredictResponse { scores, model_version: "1".into() }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let address = arg("addr", "127.0.0.1:7001").parse().unwrap();
    let service = Service(Mutex::new(Model::load(&arg("model", ""))));
    Server::builder().tcp_nodelay(true).add_service(PredictorServer::new(service)).serve(address).await.unwrap();
}
