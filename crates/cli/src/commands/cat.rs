//! `warren cat`.

use std::io::{self, Write};
use std::path::Path;

use api::types::TreeRead;
use api::{ApiError, ErrorCode, Output};
use clap::Args;
use futures_util::StreamExt;

use super::stream::{judge, writer};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::place::{Place, place};
use crate::units::parse_size;

/// What to do where standard output does not take it.
const ELSEWHERE: &str = "write it into a file with > FILE, or with `warren get`";

/// Write files of a space to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  warren cat home:notes.txt
  warren cat home:notes.txt --at 1w                  as it was a week ago
  warren cat home:notes.txt --at 3f9c2a71            one version of `warren log home:notes.txt`
  warren cat home:disk.img --offset 1Gi --length 4k  a part
  warren cat home:src.tar | tar x

What breaks off is an error: what came before is genuine, but not the whole.")]
pub(crate) struct Cat {
    /// Files, one after the other
    #[arg(value_name = "SPACE:PATH", required = true, value_parser = place())]
    files: Vec<Place>,
    /// As it was then
    #[arg(long, value_name = "TIME|VERSION")]
    at: Option<String>,
    /// From this byte
    #[arg(long, value_parser = parse_size, value_name = "SIZE", default_value = "0", hide_default_value = true)]
    offset: u64,
    /// At most so many bytes
    #[arg(long, value_parser = parse_size, value_name = "SIZE")]
    length: Option<u64>,
}

impl Cat {
    pub(crate) async fn run(self, cx: &mut Context) -> Outcome {
        let service = cx.running().await?;
        let (output, fate) = writer(cx, Path::new("-"), true)?;
        let Output::Stream(mut out) = output else { return Ok(()) };
        for file in self.files {
            let shown = file.shown();
            let request = TreeRead {
                space: file.space,
                path: file.path,
                at: self.at.clone(),
                offset: self.offset,
                length: self.length,
            };
            let mut content = service.read(request).await?;
            while let Some(piece) = content.next().await {
                let piece = piece.map_err(|error| cut(&shown, &error))?;
                match out.write_all(&piece).and_then(|()| out.flush()) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                    Err(error) => {
                        let error = Failure::io("cannot write to standard output", &error);
                        return judge(Err(error), &fate).map(drop).map_err(|error| error.hint(ELSEWHERE).into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// The content was cut.
fn cut(file: &str, error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Io, format!("the content of {file} was cut: {error}"))
        .hint("what came before is genuine, but not the whole; `warren log -n 5` says why")
}
