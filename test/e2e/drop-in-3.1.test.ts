import { describeDropIn } from './support/drop-in-suite.ts';

describeDropIn('3.1');
