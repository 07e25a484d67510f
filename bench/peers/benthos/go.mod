module bench/benthos

go 1.24
