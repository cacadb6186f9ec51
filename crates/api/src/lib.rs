//! The local API of a Warren device: requests, replies, events and errors; one service trait; a typed client; and the
//! server that puts any service on a socket. Knows nothing of the rest of the house.

pub mod client;
mod error;
mod host;
mod hub;
mod path;
pub mod server;
mod service;
pub mod types;

pub use client::Client;
pub use error::{ApiError, ApiResult, ErrorCode};
pub use host::{Host, Init, OpenWith, Output, SealTo, SealedStream, Up};
pub use hub::EventHub;
pub use hyper::body::Bytes;
pub use service::{CALLS, ContentStream, EventStream, Reply, Request, Service};
