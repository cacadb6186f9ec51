//! Files of this machine into sealed objects and versions, and back.
