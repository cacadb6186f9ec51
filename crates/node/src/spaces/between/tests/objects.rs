//! Contents between devices.

use super::*;
