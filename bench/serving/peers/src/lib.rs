//! What both servers share: ONNX Runtime with one thread, and a hand codec of bench.PredictRequest and PredictResponse.
use ort::{
    environment::Environment,
    session::{HasSelectedOutputs, OutputSelector, RunOptions, Session},
    value::TensorRef,
};

pub const FEATURES: usize = 30;

pub struct Model {
    _environment: Environment,
    session: Session,
    options: RunOptions<HasSelectedOutputs>,
}

impl Model {
    pub fn load(path: &str) -> Model {
        let environment = ort::init().with_name("bench").with_telemetry(false).build().unwrap();
        let builder = Session::builder(&environment).unwrap().with_intra_threads(1).unwrap().with_inter_threads(1);
        let session = builder.unwrap().commit_from_file(path).unwrap();
        let options = RunOptions::new().unwrap().with_outputs(OutputSelector::no_default().with("probabilities"));
        Model { _environment: environment, session, options }
    }

    /// The last column of `probabilities` for each row.
    pub fn predict(&mut self, values: &[f32], rows: usize, scores: &mut Vec<f32>) {
        let tensor = TensorRef::from_array_view(([rows, FEATURES], values)).unwrap();
        let outputs = self.session.run_with_options(ort::inputs!["features" => tensor], &self.options).unwrap();
        let (_, data) = outputs["probabilities"].try_extract_tensor::<f32>().unwrap();
        let width = data.len() / rows;
        scores.clear();
        scores.extend(data.iter().skip(width - 1).step_by(width));
    }
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = bytes[*at];
        *at += 1;
        value |= ((byte & 127) as u64) << shift;
        if byte < 128 {
            return value;
        }
        shift += 7;
    }
}

/// Appends the floats of a PredictRequest to `values`. Returns its rows.
pub fn decode(bytes: &[u8], values: &mut Vec<f32>) -> usize {
    let (mut at, mut rows) = (0, 1);
    while at < bytes.len() {
        let key = varint(bytes, &mut at);
        match (key >> 3, key & 7) {
            (2, 2) => {
                let length = varint(bytes, &mut at) as usize;
                values.extend(bytes[at..at + length].chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())));
                at += length
            }
            (3, 0) => rows = varint(bytes, &mut at) as usize,
            (_, 0) => drop(varint(bytes, &mut at)),
            (_, 2) => {
                let length = varint(bytes, &mut at) as usize;
                at += length
            }
            (_, 5) => at += 4,
            (_, 1) => at += 8,
            _ => panic!("wire type"),
        }
    }
    rows
}

fn put(out: &mut Vec<u8>, mut value: usize) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7
    }
    out.push(value as u8)
}

/// A PredictResponse behind its gRPC prefix of five bytes.
pub fn encode(scores: &[f32], version: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(32 + scores.len() * 4);
    out.extend([0; 5]);
    out.push(10);
    put(&mut out, scores.len() * 4);
    for score in scores {
        out.extend(score.to_le_bytes())
    }
    out.push(18);
    put(&mut out, version.len());
    out.extend(version.as_bytes());
    let length = (out.len() - 5) as u32;
    out[1..5].copy_from_slice(&length.to_be_bytes());
    out
}

pub fn arg(name: &str, default: &str) -> String {
    let all: Vec<String> = std::env::args().collect();
    all.iter().position(|a| a == &format!("--{name}")).and_then(|i| all.get(i + 1).cloned()).unwrap_or(default.into())
}
