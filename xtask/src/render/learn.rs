//! What a model learns from files before it renders.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use runnel::random::Randomness;
use runnel::stream::StreamModel;
use runnel::{Engine, Learned, Learning, Plan};

use super::perform::planes_of;
use crate::audio;
use crate::model::Method;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::streaming::{Blocks, stream};

/// What a model with AdaIN nodes is to learn first.
#[derive(Args)]
pub(super) struct Lessons {
    /// Learn the source's statistics from this sound: what is carried over to the target
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    learn_source: Option<PathBuf>,
    /// Learn the target's statistics from this sound: what the source is carried over to
    #[arg(long, value_name = "FILE", conflicts_with = "offline")]
    learn_target: Option<PathBuf>,
}

impl Lessons {
    /// The files to learn from.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.learn_source.iter().chain(&self.learn_target).map(PathBuf::as_path)
    }

    /// What `model`, its parameters held at `settings`, learns from these files, the target first; `None` where there are
    /// none.
    ///
    /// # Errors
    /// When it cannot learn, a file cannot be read, or source or target stay unknown.
    pub(super) fn learn(
        &self,
        model: &StreamModel,
        randomness: Randomness,
        settings: &Settings,
    ) -> Result<Option<Learned>> {
        if self.files().next().is_none() {
            return Ok(None);
        }
        let plan = Plan::new(&model.forward)?;
        let mut engine = Engine::new(plan, randomness);
        settings.set(&mut engine);
        if engine.knows().is_none() {
            bail!(
                "{} has no AdaIN nodes, so it cannot learn; leave --learn-source and --learn-target out",
                model.info.name
            );
        }
        let lessons = [(&self.learn_target, Learning::Target), (&self.learn_source, Learning::Source)];
        for (path, learning) in lessons {
            let Some(path) = path else { continue };
            let clip = audio::read(path)?;
            let groups = planes_of(&clip, &model.forward, Method::Forward, model.info.sampling_rate)?;
            let frames = groups[0][0].len();
            let latency = model.forward.latency_samples();
            if (frames as u64) < 2 * latency {
                let seconds = 2.0 * latency as f64 / f64::from(model.info.sampling_rate);
                bail!("cannot learn from {}: it is too short; give at least {seconds:.1} s", path.display());
            }
            let mut progress = Progress::new("Learning", frames * groups.len());
            engine.set_learning(learning);
            for planes in &groups {
                engine.reset();
                let planes: Vec<_> = planes.iter().map(Vec::as_slice).collect();
                let outputs = model.forward.output().channels;
                stream(&mut engine, outputs, &planes, frames, Blocks::Of(2048), |_, n| progress.advance(n));
            }
        }
        engine.set_learning(Learning::Off);
        match engine.knows() {
            Some([false, _]) => bail!("{} knows no source; name a sound with --learn-source", model.info.name),
            Some([_, false]) => bail!("{} knows no target; name a sound with --learn-target", model.info.name),
            _ => Ok(Some(engine.learned())),
        }
    }

    /// What was learned from what, in a line; `None` where nothing was.
    pub(super) fn told(&self) -> Option<String> {
        let of = |path: &Option<PathBuf>, what: &str| path.as_ref().map(|path| format!("{what} {}", path.display()));
        let told: Vec<_> =
            of(&self.learn_source, "source").into_iter().chain(of(&self.learn_target, "target")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}
