fn main() {
    let files = protox::compile(["bench.proto"], ["."]).expect("bench.proto compiles");
    tonic_prost_build::configure().compile_fds(files).expect("bench.proto generates");
}
