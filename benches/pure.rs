//! What Bindery does without a kernel: read, bind parameters, write.

use std::hint::black_box;

use bindery::notebook::inject::{InjectOptions, inject};
use bindery::notebook::{Notebook, Parameters};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};

/// A notebook as people have them: text, code, and of the code cells each third with a table or a plot.
fn notebook(cells: usize, image_bytes: usize) -> Vec<u8> {
    let cell = |index: usize| match index {
        0 => json!({
            "cell_type": "code", "execution_count": null, "id": "parameters", "metadata": {"tags": ["parameters"]},
            "outputs": [], "source": ["alpha = 0.5  # the share\n", "name = \"x\"\n", "days: int = 7"],
        }),
        _ if index % 4 == 1 => json!({
            "cell_type": "markdown", "id": format!("text-{index}"), "metadata": {},
            "source": ["## A heading\n", "\n", "Some words about what comes next, with a [link](https://example.org)."],
        }),
        _ => json!({
            "cell_type": "code", "execution_count": index, "id": format!("code-{index}"), "metadata": {"collapsed": false},
            "outputs": outputs(index, image_bytes),
            "source": ["frame = load(name, days)\n", "frame.groupby('day').agg({'value': ['mean', 'std']})\n"],
        }),
    };
    let cells: Vec<Value> = (0..cells).map(cell).collect();
    let notebook = json!({
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "version": "3.12.0"},
        },
        "nbformat": 4, "nbformat_minor": 5,
    });
    Notebook::from_value(notebook).expect("a notebook").to_bytes()
}

fn outputs(index: usize, image_bytes: usize) -> Value {
    let table: Vec<String> =
        (0..30).map(|row| format!("{row:>4}  {:.6}  {}\n", row as f64 / 7.0, row * index)).collect();
    match index % 3 {
        0 => json!([{
            "data": {"image/png": "iVBORw0KGgo".repeat(image_bytes / 11), "text/plain": ["<Figure size 640x480>"]},
            "metadata": {}, "output_type": "display_data",
        }]),
        1 => {
            json!([{"data": {"text/plain": table}, "execution_count": index, "metadata": {}, "output_type": "execute_result"}])
        }
        _ => json!([{"name": "stdout", "output_type": "stream", "text": table}]),
    }
}

fn parameters() -> Parameters {
    Parameters::from_json(&json!({"alpha": 0.1, "name": "a \"quoted\" text", "days": 30}))
        .expect("parameters")
}

fn pure(criterion: &mut Criterion) {
    // The names are read by benches/side_by_side/report.py.
    let ordinary = notebook(50, 20_000);
    // Two images of 10 MB.
    let large = notebook(7, 10_000_000);
    for (name, bytes) in [("50 cells", &ordinary), ("20 MB", &large)] {
        let parsed = Notebook::parse(bytes).expect("a notebook");
        let mut group = criterion.benchmark_group("parse");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| Notebook::parse(black_box(bytes))));
        group.finish();
        let mut group = criterion.benchmark_group("serialise");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(&parsed).to_bytes()));
        group.finish();
    }
    let parsed = Notebook::parse(&ordinary).expect("a notebook");
    let options =
        InjectOptions { kernel_name: Some("python3"), language: Some("python"), ..InjectOptions::default() };
    let bind = |notebook: &mut Notebook| {
        inject(notebook, &parameters(), options, || "new-cell".into()).expect("parameters fit")
    };
    criterion.bench_function("inject/50 cells", |bencher| {
        bencher.iter_batched(
            || parsed.clone(),
            |mut notebook| bind(&mut notebook),
            criterion::BatchSize::SmallInput,
        );
    });
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("in.ipynb"), folder.path().join("out.ipynb"));
    std::fs::write(&input, &ordinary).expect("a file");
    criterion.bench_function("parse, inject and write/50 cells", |bencher| {
        bencher.iter(|| {
            let mut notebook = Notebook::parse(&std::fs::read(&input).expect("a file")).expect("a notebook");
            bind(&mut notebook);
            std::fs::write(&output, notebook.to_bytes()).expect("a file");
        });
    });
}

criterion_group!(benches, pure);
criterion_main!(benches);
