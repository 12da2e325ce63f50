//! RAVE: the only place that knows its names and hyper-parameters.
