"""The benchmark: the durable product beside a stateless control, same load, same upstream."""
