//! Runnel's command line: `cargo xtask`.

mod audio;
mod bench;
mod bundle;
mod canvas;
mod chart;
mod convert;
mod cpu_clock;
mod demo;
mod dist;
mod evaluate;
mod input;
mod inspect;
mod model;
mod offline;
mod output;
mod progress;
mod render;
mod report;
mod settings;
mod slack;
mod spectrogram;
mod streaming;
mod synth;
mod train_demo;
mod validate;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turn trained convolutional audio models into exact streams, check them, and hear them.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 100,
    after_help = "\
Start here:
  cargo xtask render                        the built-in demo: runnel-demo.wav and .png
  cargo xtask convert runs/drums            a RAVE training run becomes drums.runnel
  cargo xtask render drums.runnel loop.wav  play a file through it
  cargo xtask verify drums.runnel           prove that the stream equals the trained model
  cargo xtask bench drums.runnel            what it costs, call by call
  cargo xtask evaluate drums.runnel         streaming beside blocks and overlap-add, as a page
  cargo xtask bundle --release              build the VST3 and CLAP plugin
  cargo xtask validate                      try the plugin in hosts
  cargo xtask dist                          zip it for others

`cargo xtask COMMAND --help` explains each command and its files."
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Convert(convert::Arguments),
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
    Render(render::Arguments),
    Bench(bench::Arguments),
    Evaluate(evaluate::Arguments),
    Bundle(bundle::Arguments),
    Dist(dist::Arguments),
    Validate(validate::Arguments),
    TrainDemo(train_demo::Arguments),
}

fn main() -> ExitCode {
    let result = match CommandLine::parse().command {
        Command::Convert(arguments) => convert::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Render(arguments) => render::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Bundle(arguments) => bundle::run(&arguments),
        Command::Dist(arguments) => dist::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::TrainDemo(arguments) => train_demo::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
