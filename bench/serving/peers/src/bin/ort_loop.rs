//! The limit without a network: ONNX Runtime with one thread, run after run on different rows. Prints rows per second, the median of five looks.
use serving_peers::{arg, Model, FEATURES};
use std::time::{Duration, Instant};

fn main() {
    let mut model = Model::load(&arg("model", ""));
    let rows: usize = arg("rows", "32").parse().unwrap();
    let bytes = std::fs::read(arg("values", "")).unwrap();
    let values: Vec<f32> = bytes.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect();
    let batches: Vec<&[f32]> = values.chunks_exact(rows * FEATURES).collect();
    let mut scores = Vec::new();
    let mut looks: Vec<f64> = (0..5)
        .map(|_| {
            let (started, mut runs) = (Instant::now(), 0);
            while started.elapsed() < Duration::from_millis(400) {
                model.predict(batches[runs % batches.len()], rows, &mut scores);
                runs += 1;
            }
            (runs * rows) as f64 / started.elapsed().as_secs_f64()
        })
        .collect();
    looks.sort_by(f64::total_cmp);
    println!("{:.0}", looks[2]);
}
