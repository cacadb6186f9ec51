//! Objects that come: verified and written while the next are on their way, made durable from time to time.

use std::sync::Arc;
use std::time::Duration;

use logic::Misbehaved;
use seal::{Object, ObjectId};
use store::objects::Putting;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Between;
use super::errors::{Ended, blocking};
use super::room::Room;
use crate::clock;
use crate::spaces::SpaceFault;

/// Bytes that are verified and written in one step.
const STEP: usize = 4 << 20;
/// Bytes after which it is waited for the disk.
const DURABLE: u64 = 64 << 20;
/// The same after this time: somebody may wait for what came.
const SOON: Duration = Duration::from_millis(250);

/// See the module. What is not durable when it is dropped is wanted still.
pub(super) struct Intake {
    come: Come,
    bytes: usize,
    /// What is being verified and written.
    step: Option<JoinHandle<Result<Written, Ended>>>,
    written: Option<Written>,
}

/// Objects with the ids that they should have.
struct Come {
    room: Arc<Room>,
    objects: Vec<(ObjectId, Vec<u8>)>,
}

impl Drop for Come {
    fn drop(&mut self) {
        let ids: Vec<_> = self.objects.iter().map(|(id, _)| *id).collect();
        self.room.queue.back(&ids, None);
    }
}

/// What was written and is not durable.
struct Written {
    room: Arc<Room>,
    putting: Putting,
    ids: Vec<ObjectId>,
    since: Instant,
}

impl Drop for Written {
    fn drop(&mut self) {
        self.room.queue.back(&self.ids, None);
    }
}

impl Intake {
    pub(super) fn new(between: &Between, room: &Arc<Room>) -> Self {
        let putting = between.parts.spaces.objects.putting(&room.kept.namespace());
        let written = Written { room: room.clone(), putting, ids: Vec::new(), since: Instant::now() };
        let come = Come { room: room.clone(), objects: Vec::new() };
        Self { come, bytes: 0, step: None, written: Some(written) }
    }

    /// Takes what is said to be this object.
    pub(super) async fn take(&mut self, id: ObjectId, bytes: Vec<u8>) -> Result<(), Ended> {
        self.bytes += bytes.len();
        self.come.objects.push((id, bytes));
        if self.bytes >= STEP { self.step(false).await } else { Ok(()) }
    }

    /// All of it is durable after that.
    pub(super) async fn finish(&mut self) -> Result<(), Ended> {
        self.step(true).await?;
        self.wait().await
    }

    async fn step(&mut self, last: bool) -> Result<(), Ended> {
        self.wait().await?;
        let mut written = self.written.take().ok_or(Ended::Unwanted("a step before failed"))?;
        let objects = std::mem::take(&mut self.come.objects);
        let come = Come { room: self.come.room.clone(), objects };
        self.bytes = 0;
        self.step = Some(tokio::spawn(blocking(move || {
            written.take(come)?;
            if last || written.putting.bytes() >= DURABLE || written.since.elapsed() >= SOON {
                written.finish()?;
            }
            Ok::<_, Ended>(written)
        })));
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Ended> {
        if let Some(step) = self.step.take() {
            self.written = Some(step.await.map_err(std::io::Error::other)??);
        }
        Ok(())
    }
}

impl Written {
    /// Blocking.
    fn take(&mut self, mut come: Come) -> Result<(), Ended> {
        if self.ids.is_empty() {
            self.since = Instant::now();
        }
        let mut objects = Vec::with_capacity(come.objects.len());
        let ids: Vec<_> = come.objects.iter().map(|(id, _)| *id).collect();
        for (id, bytes) in &mut come.objects {
            let object = Object::of(std::mem::take(bytes));
            if object.id() != *id {
                return Err(Misbehaved::ObjectWrong.into());
            }
            objects.push(object);
        }
        self.putting.add(&objects).map_err(SpaceFault::from)?;
        come.objects.clear();
        self.ids.extend(ids);
        Ok(())
    }

    /// Blocking.
    fn finish(&mut self) -> Result<(), Ended> {
        self.putting.finish(clock::now()).map_err(SpaceFault::from)?;
        let ids = std::mem::take(&mut self.ids);
        if !ids.is_empty() {
            self.room.queue.done(&self.room.kept.space, &ids)?;
            self.room.came();
        }
        Ok(())
    }
}
