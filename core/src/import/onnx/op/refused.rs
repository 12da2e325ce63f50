//! Why an operator that is not known, or cannot be, is refused.

/// The reason, and the cure where there is one.
pub(super) fn why(op: &str) -> String {
    match op {
        "InstanceNormalization" | "GroupNormalization" => {
            "takes its mean and variance over the whole signal in time: no frame is known before the end; use batch norm, or \
             layer norm over channels, and train again"
        }
        "MeanVarianceNormalization" | "GlobalLpPool" => {
            "sums up the whole signal in time: no frame is known before the end"
        }
        "Attention" | "MultiHeadAttention" => {
            "is attention: every frame meets every other, also later ones without end; take it out, or use convolutions"
        }
        "Loop" | "Scan" => {
            "repeats a part of the model as often as the signal decides; unroll it at export, or use GRU or LSTM layers, \
             which stream"
        }
        "If" => "decides by the signal which way to go",
        "NonZero" | "Compress" | "Unique" | "TopK" | "NonMaxSuppression" => {
            "makes a tensor whose size the signal decides; a stream's sizes are fixed"
        }
        "CumSum" => "adds up the signal from its start; use a recurrent layer",
        "ReverseSequence" => "runs backwards in time, which a stream cannot",
        "ArgMax" | "ArgMin" => "gives the place of an extreme: a choice of codes, which is read from RAVE's own files only",
        "RandomUniform" | "RandomNormal" | "RandomUniformLike" | "Bernoulli" | "Multinomial" => {
            "draws noise of a kind that is not known; only RandomNormalLike is"
        }
        "DFT" | "STFT" | "MelWeightMatrix" | "RFFT" | "IRFFT" => {
            "is a Fourier transform; write it as a convolution with a fixed basis before exporting"
        }
        "QuantizeLinear" | "DequantizeLinear" | "QLinearConv" | "ConvInteger" | "MatMulInteger" | "DynamicQuantizeLinear" => {
            "computes in integers (a quantized model); export the model in floats"
        }
        "SequenceConstruct" | "SequenceAt" | "SplitToSequence" | "ConcatFromSequence" | "Optional" => {
            "works on lists of tensors; only tensors stream"
        }
        "Floor" | "Ceil" | "Round" | "Sign" | "Equal" | "Greater" | "Less" | "GreaterOrEqual" | "LessOrEqual" | "Not" | "And"
        | "Or" | "Xor" | "IsNaN" | "IsInf" | "Mod" => "jumps with the smallest change of the signal, and is not known",
        _ => "is an operator that is not known",
    }
    .into()
}
