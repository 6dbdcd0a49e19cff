namespace shardrift::analysis {}
